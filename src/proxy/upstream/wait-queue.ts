import type { Sharer } from './places.ts'

/** Requests that wait for a connection, each holder's in their order. */
export type WaitQueue<Waiting extends Sharer> = {
  readonly size: number
  /** `nowMs`: when it began to wait. */
  add(waiting: Waiting, nowMs: number): void
  /** Takes out the next one to serve: holders in turn, of those that may be served now; undefined where there is none. */
  next(mayServe: (waiting: Waiting) => boolean): Waiting | undefined
  /** Takes one out; whether it was there. */
  remove(waiting: Waiting): boolean
  /** Takes out all that began to wait at this time or before. */
  takeOlder(sinceMs: number): readonly Waiting[]
}

/** A queue in which a holder with many requests makes another holder's request wait for one of them, not for all. */
export function createWaitQueue<Waiting extends Sharer>(): WaitQueue<Waiting> {
  /** In the order in which they came. */
  const since = new Map<Waiting, number>()
  /** In the order of their turns. */
  const holders = new Map<string, Set<Waiting>>()

  function remove(waiting: Waiting): boolean {
    if (!since.delete(waiting)) return false
    const own = holders.get(waiting.holder)!
    own.delete(waiting)
    if (own.size === 0) holders.delete(waiting.holder)
    return true
  }

  return {
    get size() {
      return since.size
    },
    add(waiting, nowMs) {
      since.set(waiting, nowMs)
      const own = holders.get(waiting.holder)
      if (own === undefined) holders.set(waiting.holder, new Set([waiting]))
      else own.add(waiting)
    },
    next(mayServe) {
      for (const [holder, own] of holders) {
        const [first] = own
        if (!mayServe(first!)) continue
        holders.delete(holder)
        holders.set(holder, own)
        remove(first!)
        return first
      }
      return undefined
    },
    remove,
    takeOlder(sinceMs) {
      const older: Waiting[] = []
      for (const [waiting, began] of since) {
        if (began > sinceMs) break
        older.push(waiting)
      }
      older.forEach(remove)
      return older
    },
  }
}
