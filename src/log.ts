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

/** Creates the logger: JSON lines with ISO times to standard output, or to `destination` in tests; `worker` is said in each. */
export function createLog(options: {
  readonly level: string
  readonly destination?: DestinationStream
  readonly worker?: number
}): Logger {
  const { level, destination = standardOutput(), worker } = options
  return pino(
    { level, base: worker === undefined ? null : { worker }, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  )
}
