import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MAIN } from './contenders/sluice.ts'

export type Options = {
  /** Names of contenders and questions; null for all. */
  readonly only: readonly string[] | null
  readonly rounds: number
  /** That one contender is loaded for in one round. */
  readonly seconds: number
  readonly isWritten: boolean
  /** The folder of another checkout, built, whose Sluice is measured beside this one; null for none. */
  readonly against: string | null
}

/** What the arguments ask for, or what is wrong with them. */
export function optionsOf(args: readonly string[], names: readonly string[]): Options | string {
  let values: ReturnType<typeof read>['values']
  try {
    values = read(args).values
  } catch (cause) {
    return (cause as Error).message
  }
  const { rounds = '5', seconds = '3', write = false, against = null } = values
  const only = values.only?.flatMap((list) => list.split(',')).filter((name) => name !== '') ?? null
  const unknown = only?.find((name) => !names.includes(name))
  if (unknown !== undefined) return `'${unknown}' is nothing to measure; write one of ${names.join(' ')}`
  for (const [option, value] of Object.entries({ rounds, seconds })) {
    if (!/^[1-9]\d?$/.test(value)) return `'${value}' is not a number of ${option}; write a whole one from 1 to 99`
  }
  if (against !== null && !existsSync(join(against, MAIN))) {
    return `'${against}' has no ${MAIN}; give the folder of a checkout in which \`npm run build\` ran`
  }
  return { only, rounds: Number(rounds), seconds: Number(seconds), isWritten: write, against }
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      write: { type: 'boolean' },
      against: { type: 'string' },
    },
  })
}
