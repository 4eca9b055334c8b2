import type { Clock } from '../clock.ts'
import { SluiceError } from '../errors.ts'
import type { Debit, SharedStore } from './store.ts'

/** What the outage guard tells the outside; called once an event, never with a client's value. */
export type OutageEvents = {
  /** A call to the store ended, after `us` microseconds. */
  called(result: 'ok' | 'error' | 'timeout', us: number): void
  /** The breaker opened (with the failure that tipped it) or closed. */
  changed(state: 'open' | 'closed', cause: unknown): void
}

export type GuardedStore = {
  /**
   * Charges through the store. Null at once while the breaker is open, and after `close`: nobody waits for a store
   * known to be away.
   * Otherwise resolves with the debts, or null when the store failed or did not answer in time; it never rejects.
   * A reply after its deadline is ignored: the store may have charged, the client was decided without it. `deadlineUs` is an
   * earlier one, of a request that has waited already.
   */
  charge(debits: readonly Debit[], deadlineUs?: number): Promise<readonly number[] | null> | null
  /** Another call to the same store, guarded as `charge` is. */
  run<T>(start: () => Promise<T>, deadlineUs?: number): Promise<T | null> | null
  readonly isOpen: boolean
  /** Decides those who wait without the store, and leaves no timer. */
  close(): void
}

/** Failures in a row that open the breaker: one slow answer is noise, a full round of them is an outage. */
const FAILURES_TO_OPEN = 5
/** Milliseconds between probes while open, each spread by half so that instances do not knock in step. */
const PROBE_INTERVAL = 500
/** A timer later than this (microseconds) tells of a stall, after which replies get some more milliseconds to come in. */
const STALL_US = 10_000
const STALL_GRACE = 10

/** A call: `resolve` is null once it has been decided. */
type Waiting = { readonly deadlineUs: number; readonly sentUs: number; resolve: ((answer: null) => void) | null }

/** Guards a shared store with a deadline (`timeout`, milliseconds) for each call and a circuit breaker over all of them. */
export function guardStore(
  store: SharedStore,
  options: {
    readonly timeout: number
    readonly clock: Clock
    readonly random: () => number
    readonly events: OutageEvents
    /** The store was away when this began: start open, and probe. */
    readonly isAway?: boolean
  },
): GuardedStore {
  const { timeout, clock, random, events } = options
  let failures = 0
  let open = false
  let closed = false
  let probe: NodeJS.Timeout | undefined
  // In the order of their deadlines, so that one timer serves the whole queue.
  let waiting: Waiting[] = []
  let timer: NodeJS.Timeout | undefined

  function failed(cause: unknown): void {
    failures++
    if (open || closed || failures < FAILURES_TO_OPEN) return
    openBreaker(cause)
  }

  function openBreaker(cause: unknown): void {
    open = true
    events.changed('open', cause)
    scheduleProbe()
  }

  function scheduleProbe(): void {
    probe = setTimeout(runProbe, PROBE_INTERVAL * (0.75 + random() / 2))
    probe.unref()
  }

  function runProbe(): void {
    const late = new Promise<never>((_, reject) => {
      probe = setTimeout(() => reject(new Error('the probe had no answer in time')), timeout)
    })
    Promise.race([store.ping(), late]).then(
      () => {
        clearTimeout(probe)
        if (closed) return
        open = false
        failures = 0
        events.changed('closed', undefined)
      },
      () => {
        clearTimeout(probe)
        if (!closed) scheduleProbe()
      },
    )
  }

  function expire(): void {
    timer = undefined
    const nowUs = clock.nowUs()
    // Timers count whole milliseconds: what falls due within this one is due.
    const dueUs = nowUs + 1000
    let due = 0
    let late = 0
    while (due < waiting.length && (waiting[due]!.resolve === null || waiting[due]!.deadlineUs <= dueUs)) {
      if (giveUp(waiting[due]!)) late++
      due++
    }
    waiting = waiting.slice(due)
    // All that fall due at once are one failure: they may have waited for the same thing.
    if (late > 0 && !closed) {
      failed(new SluiceError('store_unavailable', `the store did not answer within ${timeout} ms`))
    }
    armTimer(nowUs)
  }

  /** Decides a call that is waiting still without its answer: whether it was. */
  function giveUp(entry: Waiting): boolean {
    const { resolve, sentUs } = entry
    if (resolve === null) return false
    entry.resolve = null
    resolve(null)
    if (!closed) events.called('timeout', clock.nowUs() - sentUs)
    return true
  }

  function armTimer(nowUs: number): void {
    const first = waiting[0]
    if (first === undefined || timer !== undefined) return
    const delay = Math.max(1, Math.ceil((first.deadlineUs - nowUs) / 1000))
    timer = setTimeout(due, delay, nowUs + delay * 1000)
  }

  /** After a stall of our own loop timers come before replies that are here, and before calls that are not even sent. */
  function due(atUs: number): void {
    if (clock.nowUs() - atUs > STALL_US) timer = setTimeout(() => setImmediate(expire), STALL_GRACE)
    else setImmediate(expire)
  }

  function queue(entry: Waiting): void {
    let at = waiting.length
    while (at > 0 && waiting[at - 1]!.deadlineUs > entry.deadlineUs) at--
    if (at === waiting.length) waiting.push(entry)
    else waiting.splice(at, 0, entry)
    if (at > 0) return
    clearTimeout(timer)
    timer = undefined
  }

  function call<T>(start: () => Promise<T>, deadlineUs?: number): Promise<T | null> {
    return new Promise((resolve) => {
      const sentUs = clock.nowUs()
      const entry: Waiting = { deadlineUs: deadlineUs ?? sentUs + timeout * 1000, sentUs, resolve }
      queue(entry)
      armTimer(sentUs)
      start().then(
        (answer) => {
          if (entry.resolve === null) return
          entry.resolve = null
          failures = 0
          events.called('ok', clock.nowUs() - sentUs)
          resolve(answer)
        },
        (cause: unknown) => {
          if (entry.resolve === null) return
          entry.resolve = null
          events.called('error', clock.nowUs() - sentUs)
          failed(cause)
          resolve(null)
        },
      )
    })
  }

  if (options.isAway) openBreaker(new SluiceError('store_unavailable', 'the store was away at the start'))

  return {
    charge: (debits, deadlineUs) => (open || closed ? null : call(() => store.charge(debits), deadlineUs)),
    run: (start, deadlineUs) => (open || closed ? null : call(start, deadlineUs)),
    get isOpen() {
      return open
    },
    close() {
      closed = true
      clearTimeout(probe)
      clearTimeout(timer)
      for (const entry of waiting) giveUp(entry)
    },
  }
}
