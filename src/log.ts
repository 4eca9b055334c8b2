import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** Creates the logger: JSON lines with ISO times to standard output, or to `destination` in tests. */
export function createLog(options: { readonly level: string; readonly destination?: DestinationStream }): Logger {
  const settings = { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination)
}
