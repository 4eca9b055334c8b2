const FIRST_MS = 1000
const MAX_MS = 60_000

/**
 * How long to wait after the n-th attempt (1-based) failed: 1 s, doubled each time, at most a minute, of which the
 * second half is left to chance, so that jobs that failed together do not come back together. Always at least half.
 */
export function backoffMs(attempt: number, random: () => number): number {
  const whole = Math.min(MAX_MS, FIRST_MS * 2 ** (attempt - 1))
  return Math.round(whole / 2 + (whole / 2) * random())
}
