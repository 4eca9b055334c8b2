import type { LimitDraft } from './draft.ts'
import { FACTORS } from './factors.ts'
import type { Rate } from './types.ts'
import { MAX_BURST, MAX_PER_SECOND } from './units.ts'

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
  // As fast as a bucket can be, where the factor would make it faster.
  return (
    limit.rate && {
      tokens: Math.min(limit.rate.tokens * FACTORS.newcomersRate, MAX_PER_SECOND * limit.rate.seconds),
      seconds: limit.rate.seconds,
    }
  )
}

function newcomersBurst(limit: LimitDraft): number | undefined {
  const written = limit.newcomers === null ? null : limit.newcomers?.burst
  if (written !== null) return written
  const burst = burstOf(limit)
  return burst && Math.min(burst * FACTORS.newcomersBurst, MAX_BURST)
}

/** Whether devices have buckets of their own under a limit, or under it within other sources, and so share their network's. */
export function isPerDevice(per: LimitDraft['per']): boolean {
  return Array.isArray(per) ? per.includes('device') : per === 'device'
}
