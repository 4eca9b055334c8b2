/**
 * The arithmetic of a token bucket, and nothing else: no state, no clock, no I/O. stores/charge.lua is its twin and
 * must change with it; golden vectors and a property test hold the two equal.
 *
 * A bucket's state is two whole numbers: its debt in micro-tokens and the time in microseconds of the last write.
 * Debt, not balance, so that a rate or a burst may change without refilling or draining anything. A rate is kept as
 * the two whole numbers that were written (`tokens` every `seconds`), so that 1e6 / (10/3600) never loses a microsecond.
 * Whole periods are taken off before multiplying: every product stays below 2^53, so floor and ceiling are exact.
 */
export type Bucket = {
  /** Names the state together with a client's id. */
  readonly name: string
  /** Micro-tokens a full bucket holds. */
  readonly capacity: number
  /** Tokens refilled every `seconds`; tokens per second are micro-tokens per microsecond. */
  readonly tokens: number
  readonly seconds: number
  /** Where this is a pool that has grown with its network: the pool as it is alone, which drains no faster. */
  readonly base?: Bucket
}

/** Micro-tokens in a token. */
export const TOKEN = 1_000_000

/**
 * How far (microseconds) the clock may step back before a bucket takes the new time as its own. Up to it the bucket
 * waits until the clock has caught up: nothing is refilled. Beyond it waiting would lock the bucket for as long as the
 * step was large (a Redis replica an hour behind takes over), so it drains from the new time on, again without a refill.
 */
export const CLOCK_STEP_US = 1_000_000

/** The debt (micro-tokens) at `nowUs` of a bucket that had `debt` at `timeUs`. A lowered capacity clamps the old debt. */
export function debtAt(bucket: Bucket, debt: number, timeUs: number, nowUs: number): number {
  const held = Math.min(debt, bucket.capacity)
  if (nowUs <= timeUs) return held
  const elapsedUs = nowUs - timeUs
  const periods = Math.floor(elapsedUs / bucket.seconds)
  const rest = Math.floor(((elapsedUs - periods * bucket.seconds) * bucket.tokens) / bucket.seconds)
  return Math.max(0, held - periods * bucket.tokens - rest)
}

/** The time (microseconds) to write beside a new debt. */
export function timeAfter(timeUs: number, nowUs: number): number {
  return timeUs > nowUs && timeUs - nowUs <= CLOCK_STEP_US ? timeUs : nowUs
}

/** Whether a cost (micro-tokens) may be taken at this debt. */
export function admits(bucket: Bucket, debt: number, cost: number): boolean {
  return debt + cost <= bucket.capacity
}

/** Whole tokens left at this debt. */
export function remainingTokens(bucket: Bucket, debt: number): number {
  return Math.max(0, Math.floor((bucket.capacity - debt) / TOKEN))
}

/** Microseconds until a cost is admitted if nothing else is charged meanwhile; 0 where it is admitted now. */
export function waitUs(bucket: Bucket, debt: number, cost: number): number {
  return drainUs(bucket, Math.max(0, debt + cost - bucket.capacity))
}

/** Microseconds until the tokens left are one more, or the bucket full where that comes first; 0 for a full bucket. */
export function nextTokenUs(bucket: Bucket, debt: number, remaining = remainingTokens(bucket, debt)): number {
  // Counted from the capacity, for an instance's share of a bucket is no whole number of tokens.
  const over = debt + (remaining + 1) * TOKEN - bucket.capacity
  return drainUs(bucket, Math.min(debt, over))
}

/** Microseconds in which this much debt drains. */
export function drainUs(bucket: Bucket, debt: number): number {
  const periods = Math.floor(debt / bucket.tokens)
  return periods * bucket.seconds + Math.ceil(((debt - periods * bucket.tokens) * bucket.seconds) / bucket.tokens)
}
