import type { Reservation } from './queue.ts'

/** Those who wait for messages of a backend that must be asked again and again. */
export type Waiters = {
  /** As `Queue.reserve`. */
  reserve(signal: AbortSignal): Promise<Reservation | undefined>
  /** There may be a message: ask now. */
  wake(): void
  /** Ends all waits, and resolves when nothing is being asked any more. */
  close(): Promise<void>
}

export type WaitersOptions = {
  /** Asks the backend once for at most `max` messages; what it takes at the longest, the end of a wait may take. */
  fetch(max: number): Promise<readonly Reservation[]>
  /** How long to wait after nothing was found. */
  readonly idleMs: number
}

type Waiter = {
  isGone: boolean
  resolve(reservation: Reservation | undefined): void
  reject(error: unknown): void
}

/** One question at a time for all who wait, none while nobody does. What comes for one who has gone is given back. */
export function createWaiters({ fetch, idleMs }: WaitersOptions): Waiters {
  const waiters = new Set<Waiter>()
  let pumping: Promise<void> | undefined
  let isFetching = false
  let isClosed = false
  let wake = () => {}

  function leave(waiter: Waiter, reservation?: Reservation): void {
    waiters.delete(waiter)
    waiter.resolve(reservation)
  }

  function dropGone(): void {
    for (const waiter of waiters) if (waiter.isGone || isClosed) leave(waiter)
  }

  async function pump(): Promise<void> {
    while (waiters.size > 0) {
      isFetching = true
      const found = await fetch(waiters.size)
      isFetching = false
      const given = found.map((reservation) => {
        const taker = [...waiters].find(({ isGone }) => !isGone)
        return taker === undefined || isClosed ? reservation.retry(0) : leave(taker, reservation)
      })
      await Promise.all(given)
      dropGone()
      if (found.length === 0 && waiters.size > 0) await idle()
      dropGone()
    }
  }

  function idle(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, idleMs)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  function start(): void {
    pumping ??= pump()
      .catch((error: unknown) => {
        for (const waiter of waiters) waiter.reject(error)
        waiters.clear()
      })
      .finally(() => {
        isFetching = false
        pumping = undefined
        // Somebody may have come after the last look.
        if (waiters.size > 0) start()
      })
  }

  return {
    reserve(signal) {
      if (isClosed || signal.aborted) return Promise.resolve(undefined)
      return new Promise((resolve, reject) => {
        function stop(): void {
          waiter.isGone = true
          // While a question is under way, its answer may be for this one, and is to be given back first.
          if (!isFetching) leave(waiter)
          wake()
        }
        const waiter: Waiter = {
          isGone: false,
          resolve(reservation) {
            signal.removeEventListener('abort', stop)
            resolve(reservation)
          },
          reject(error) {
            signal.removeEventListener('abort', stop)
            reject(error)
          },
        }
        signal.addEventListener('abort', stop, { once: true })
        waiters.add(waiter)
        start()
      })
    },
    wake: () => wake(),
    async close() {
      isClosed = true
      wake()
      await pumping
    },
  }
}
