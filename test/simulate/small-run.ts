import { type RunResult, run } from '../../bench/simulate/run.ts'
import type { Times } from '../../bench/simulate/schedule.ts'
import { STRATEGIES } from '../../bench/simulate/strategies.ts'

/** A minute with a few devices and attacks of 50 seconds at 20 requests a second. */
export const SMALL_TIMES: Times = {
  run: { from: 0, to: 60 },
  attack: { from: 10, to: 60 },
  attackPerSecond: 20,
}
export const SMALL_SIZES = { office: 20, homes: 5, perHome: 2, carriers: 1, perCarrier: 10 }

export function smallRun(ids: readonly string[], seed = 5, times = SMALL_TIMES): Promise<RunResult> {
  const strategies = STRATEGIES.filter(({ id }) => ids.includes(id))
  return run({ seed, strategies, state: 'cold', sizes: SMALL_SIZES, times })
}
