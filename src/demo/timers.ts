/** Time as the demo needs it: dates for people, and calls later. Injected everywhere, so that tests own it. */
export type Timers = {
  /** Milliseconds since 1970, for the timestamps that callers see. */
  now(): number
  /** Calls once after `delayMs`, on a clock that never steps back; the function it returns cancels. */
  after(delayMs: number, call: () => void): () => void
}

/** The process's own clock and timers. */
export const systemTimers: Timers = {
  now: () => Date.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves to true when `delayMs` have passed, to false as soon as `signal` aborts; never rejects, leaves no timer. */
export function pause(timers: Timers, delayMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    const cancel = timers.after(delayMs, () => {
      signal.removeEventListener('abort', stop)
      resolve(true)
    })
    function stop(): void {
      cancel()
      resolve(false)
    }
    signal.addEventListener('abort', stop, { once: true })
  })
}
