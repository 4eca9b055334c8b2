import { parseArgs } from 'node:util'
import { FAULTS, type Fault } from './faults.ts'

export const USAGE = `usage: npm run chaos -- [--fault killed] [--seconds N] [--timeout 20] [--saturate] [--json] [--write]
Left out, fault means all of them; it may be given more than once: ${FAULTS.map(({ name }) => name).join(' ')}.
--seconds is how long a fault, or with --saturate a measurement, lasts. --timeout is the store's, in
milliseconds: more on a machine that stalls. --write adds a page to bench/results/.
`

export type Options = {
  readonly faults: readonly Fault[]
  readonly seconds: number
  /** Milliseconds. */
  readonly timeout: number
  readonly isSaturating: boolean
  readonly isJson: boolean
  readonly isWritten: boolean
}

/** What the arguments ask for, or what is wrong with them. */
export function optionsOf(args: readonly string[]): Options | string {
  let values: ReturnType<typeof read>['values']
  try {
    values = read(args).values
  } catch (cause) {
    return (cause as Error).message
  }
  const { fault, saturate = false, json = false, write = false } = values
  const { seconds = saturate ? '60' : '5', timeout = saturate ? '250' : '20' } = values
  if (!/^[1-9]\d{0,2}$/.test(seconds)) return `'${seconds}' is not a time; write whole seconds, 1 to 999`
  if (!/^[1-9]\d{0,2}$/.test(timeout)) return `'${timeout}' is not a timeout; write milliseconds, 1 to 999`
  const wrong = fault?.find((name) => !FAULTS.some((known) => known.name === name))
  if (wrong !== undefined) return `'${wrong}' is not a fault; write one of ${FAULTS.map(({ name }) => name).join(' ')}`
  return {
    faults: FAULTS.filter(({ name }) => fault === undefined || fault.includes(name)),
    seconds: Number(seconds),
    timeout: Number(timeout),
    isSaturating: saturate,
    isJson: json,
    isWritten: write,
  }
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      fault: { type: 'string', multiple: true },
      seconds: { type: 'string' },
      timeout: { type: 'string' },
      saturate: { type: 'boolean' },
      json: { type: 'boolean' },
      write: { type: 'boolean' },
    },
  })
}
