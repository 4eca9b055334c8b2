import type { Journal } from '../storage/journal.ts'
import type { QueuedMessage } from '../storage/storage.ts'
import type { Timers } from '../timers.ts'
import { checkSize, type Message, type Queue, type Reservation } from './queue.ts'

/** The bounds of a queue in process. */
export type MemoryQueueOptions = {
  /** At most so many messages ready, delayed or reserved; and at most so many buried, the oldest of which goes first. */
  readonly maxMessages: number
  /** How long a worker may hold a message before it is taken to be dead. */
  readonly leaseMs: number
  readonly timers: Timers
  /** Where messages are kept, too, so that they outlive the process; how often each was reserved is not. */
  readonly journal?: Journal<QueuedMessage> | undefined
}

type Entry = { readonly message: Message; attempt: number }
type Waiter = (reservation: Reservation | undefined) => void

/** The queue in process: first in, first out. What the journal keeps outlives the process; without one, nothing. */
export function createMemoryQueue({ maxMessages, leaseMs, timers, journal }: MemoryQueueOptions): Queue {
  /** A Set, for its front can be taken without moving all the rest. */
  const ready = new Set<Entry>()
  const delayed = new Map<Entry, () => void>()
  const reserved = new Map<Entry, () => void>()
  const buried = new Set<Entry>()
  /** Being written to the journal; they count towards the bound. */
  let arriving = 0
  const waiters = new Set<Waiter>()
  let closed = false

  function offer(entry: Entry): void {
    if (closed) return
    const [waiter] = waiters
    if (waiter === undefined) {
      ready.add(entry)
      return
    }
    waiters.delete(waiter)
    waiter(lease(entry))
  }

  function lease(entry: Entry): Reservation {
    entry.attempt++
    const { message, attempt } = entry
    hold()
    function hold(): void {
      const cancel = timers.after(leaseMs, () => settle(() => offer(entry)))
      reserved.set(entry, cancel)
    }
    /** Runs once, and only for the holder of the lease: a late holder finds another's attempt, or none. */
    function settle(move: () => void): boolean {
      if (entry.attempt !== attempt || !reserved.has(entry)) return false
      reserved.get(entry)?.()
      reserved.delete(entry)
      move()
      return true
    }
    return {
      message,
      attempt,
      extend: async () => void settle(hold),
      async done() {
        if (settle(() => {})) await journal?.remove(message.id)
      },
      retry: async (delayMs) => void settle(() => delay(entry, delayMs)),
      async bury() {
        if (settle(() => bury(entry))) await journal?.put(message.id, { ...message, buried: true })
      },
    }
  }

  function delay(entry: Entry, delayMs: number): void {
    const cancel = timers.after(delayMs, () => {
      delayed.delete(entry)
      offer(entry)
    })
    delayed.set(entry, cancel)
  }

  function bury(entry: Entry): void {
    buried.add(entry)
    const [oldest] = buried
    if (buried.size <= maxMessages || oldest === undefined) return
    buried.delete(oldest)
    void journal?.remove(oldest.message.id)
  }

  for (const [, { buried: isBuried, ...message }] of journal?.entries ?? []) {
    const entry = { message, attempt: 0 }
    if (isBuried) buried.add(entry)
    else ready.add(entry)
  }

  return {
    async put(message) {
      if (closed) throw new Error('the queue is closed')
      checkSize(message)
      if (ready.size + delayed.size + reserved.size + arriving >= maxMessages) return 'full'
      if (journal !== undefined) {
        arriving++
        await journal.put(message.id, { ...message, buried: false }).finally(() => arriving--)
      }
      offer({ message, attempt: 0 })
      return 'added'
    },
    reserve(signal) {
      if (closed || signal.aborted) return Promise.resolve(undefined)
      const [entry] = ready
      if (entry !== undefined) {
        ready.delete(entry)
        return Promise.resolve(lease(entry))
      }
      return new Promise((resolve) => {
        function settle(reservation: Reservation | undefined): void {
          signal.removeEventListener('abort', stop)
          resolve(reservation)
        }
        function stop(): void {
          waiters.delete(settle)
          resolve(undefined)
        }
        waiters.add(settle)
        signal.addEventListener('abort', stop, { once: true })
      })
    },
    depth: async () => ({
      ready: ready.size,
      delayed: delayed.size,
      reserved: reserved.size,
      buried: buried.size,
    }),
    async close() {
      closed = true
      for (const cancel of [...delayed.values(), ...reserved.values()]) cancel()
      delayed.clear()
      reserved.clear()
      for (const waiter of waiters) waiter(undefined)
      waiters.clear()
    },
  }
}
