/** The time a decision is taken at. Injected everywhere, so that tests own it. */
export type Clock = {
  /** Microseconds, never stepping back; only differences have a meaning. */
  nowUs(): number
}

/** The process's monotonic clock (`performance.now`), in whole microseconds. */
export const monotonicClock: Clock = {
  nowUs: () => Math.floor(performance.now() * 1000),
}
