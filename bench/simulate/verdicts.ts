import { boundOf } from './bounds.ts'
import type { RunResult } from './run.ts'
import type { Strategy } from './strategies.ts'
import type { Counts } from './tally.ts'

/** One target of the identity design, section 7, as it was met. Shares are between 0 and 1. */
export type Verdict = {
  readonly target: string
  /** Null where nobody sent what the target is about: then it does not hold, for nothing was shown. */
  readonly measured: number | null
  readonly atMost: number
  readonly unit: 'requests' | 'share'
  readonly holds: boolean
}

const CONSTANT = ['S1', 'S7', 'S11', 'S12']
const ROTATING = ['S2', 'S3', 'S4']
const HONEST = { cold: 0.04, returning: 0.01, restart: 0.015 }

/** What a run must hold of one strategy. */
export function verdictsOf(result: RunResult, strategy: Strategy): Verdict[] {
  const { state, tally, times, sizes } = result
  const verdicts: Verdict[] = []
  const attack = tally.get(strategy.id)
  const passed = attack.sent - attack.refused[0]!
  const inside = strategy.inside
  const neighbours = inside === 'office' ? sizes.office : sizes.perCarrier
  const bound = boundOf(strategy.id, times, inside === null ? 0 : neighbours)
  const isConstant = CONSTANT.includes(strategy.id)

  function atMost(target: string, unit: Verdict['unit'], measured: number | null, limit: number): void {
    verdicts.push({ target, unit, measured, atMost: limit, holds: measured !== null && measured <= limit })
  }

  if (bound !== null) {
    atMost(
      `attack passes ${bound.formula}${isConstant ? ' + 1' : ''}`,
      'requests',
      passed,
      bound.requests + (isConstant ? 1 : 0),
    )
  }
  if (ROTATING.includes(strategy.id)) atMost('attack passes 5.2 %', 'share', passed / attack.sent, 0.052)
  if (inside !== null) {
    const limit = strategy.id === 'S9' ? { cold: 0.005, returning: 0, restart: 0.005 }[state] : null
    const refused = shareOf(tally.get(`under attack: ${inside} members`), 0)
    if (limit !== null) atMost(`members of the ${inside} refused under attack`, 'share', refused, limit)
    return verdicts
  }
  atMost(`honest refused, ${state}`, 'share', shareOf(tally.get('honest'), 0), HONEST[state])
  if (state === 'returning') atMost('members refused', 'share', shareOf(tally.get('members'), 0), 0.001)
  if (state === 'restart') {
    atMost(
      'office refused in the first two minutes',
      'share',
      shareOf(tally.get('first two minutes: office'), 0),
      0.015,
    )
  }
  return verdicts
}

/** The share of requests that the `limiter`-th refused; null of none. */
export function shareOf({ sent, refused }: Counts, limiter: number): number | null {
  return sent === 0 ? null : refused[limiter]! / sent
}
