import type { LimitDraft } from './draft.ts'
import type { Rate } from './types.ts'

/** How many times the limit's own rate and burst the unproved devices of one network share by default. */
export const NEWCOMERS_RATE_FACTOR = 5
export const NEWCOMERS_BURST_FACTOR = 2

/** The burst of a limit: what is written, else its rate's count; undefined where that is wrong. */
export function burstOf(limit: LimitDraft): number | undefined {
  return limit.burst === null ? limit.rate?.tokens : limit.burst
}

/** What a limit's newcomers share, written or derived; undefined where that is wrong. */
export function newcomersOf(limit: LimitDraft): { rate: Rate | undefined; burst: number | undefined } | undefined {
  if (limit.newcomers === undefined) return undefined
  return { rate: newcomersRate(limit), burst: newcomersBurst(limit) }
}

function newcomersRate(limit: LimitDraft): Rate | undefined {
  const written = limit.newcomers === null ? null : limit.newcomers?.rate
  if (written !== null) return written
  return limit.rate && { tokens: limit.rate.tokens * NEWCOMERS_RATE_FACTOR, seconds: limit.rate.seconds }
}

function newcomersBurst(limit: LimitDraft): number | undefined {
  const written = limit.newcomers === null ? null : limit.newcomers?.burst
  if (written !== null) return written
  const burst = burstOf(limit)
  return burst && burst * NEWCOMERS_BURST_FACTOR
}
