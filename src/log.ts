import { type DestinationStream, type Logger, pino } from 'pino'
import { createLineSink, type LineSink } from './line-sink.ts'

export type { Logger } from 'pino'

let output: LineSink | undefined

/** Standard output as what logs go to: opened once, emptied when the process exits. */
export function standardOutput(): LineSink {
  if (output === undefined) {
    output = createLineSink(process.stdout)
    process.once('exit', output.flush)
  }
  return output
}

/** Creates the logger: JSON lines with ISO times to standard output, or to `destination` in tests. */
export function createLog(options: { readonly level: string; readonly destination?: DestinationStream }): Logger {
  const { level, destination = standardOutput() } = options
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}
