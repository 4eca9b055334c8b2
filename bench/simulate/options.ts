import { parseArgs } from 'node:util'
import { STATES, type State } from './schedule.ts'
import { STRATEGIES, type Strategy } from './strategies.ts'

export const USAGE = `usage: npm run simulate -- [--seed N] [--strategy S2] [--state ${STATES.join('|')}] [--json] [--write]
Left out, strategy and state mean all of them; both may be given more than once. --write adds a page to bench/results/.
`

export type Options = {
  readonly seed: number
  readonly strategies: readonly Strategy[]
  readonly states: readonly State[]
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
  const { seed = '5', strategy, state, json = false, write = false } = values
  if (!/^\d{1,9}$/.test(seed)) return `'${seed}' is not a seed; write a whole number`
  const wrongStrategy = strategy?.find((id) => !STRATEGIES.some((known) => known.id === id))
  if (wrongStrategy !== undefined) {
    return `'${wrongStrategy}' is not a strategy; write one of ${STRATEGIES.map(({ id }) => id).join(' ')}`
  }
  const wrongState = state?.find((name) => !STATES.includes(name as State))
  if (wrongState !== undefined) return `'${wrongState}' is not a state; write one of ${STATES.join(' ')}`
  return {
    seed: Number(seed),
    strategies: STRATEGIES.filter(({ id }) => strategy === undefined || strategy.includes(id)),
    states: STATES.filter((name) => state === undefined || state.includes(name)),
    isJson: json,
    isWritten: write,
  }
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      strategy: { type: 'string', multiple: true },
      state: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      write: { type: 'boolean' },
    },
  })
}
