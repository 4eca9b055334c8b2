/** How long (seconds) a lease may be spent for: docs/9-redis.md. */
export const LEASE_LIFE = 0.25

/**
 * The most by which admissions at these times (milliseconds, in order) exceeded `rate` (tokens a second) over any window: over
 * T seconds no more than this + rate * T passed.
 */
export function mostAbove(times: readonly number[], rate: number): number {
  let lowest = Number.POSITIVE_INFINITY
  let most = 0
  for (const [i, ms] of times.entries()) {
    const refilled = (rate * ms) / 1000
    lowest = Math.min(lowest, i - refilled)
    most = Math.max(most, i + 1 - refilled - lowest)
  }
  return most
}
