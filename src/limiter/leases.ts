import type { Clock } from '../clock.ts'
import { debtAt, drainUs, TOKEN } from './bucket.ts'
import type { GuardedStore } from './outage.ts'
import { type Debit, groupAdmitted, isAdmitted, leaseTaken, refund } from './store.ts'

export type LeaseResult = 'leased' | 'spent' | 'returned' | 'expired'

export type LeasesOptions = {
  readonly guard: Omit<GuardedStore, 'run'>
  /** Gives tokens back to the store, once; never rejects. */
  readonly giveBack: (debits: readonly Debit[]) => Promise<void>
  readonly clock: Clock
  /** Milliseconds that a decision waits at most, as the guard has it. */
  readonly timeout: number
  /** Whether every request under a bucket's name asks the store (`lease: off`). */
  readonly isExact: (bucketName: string) => boolean
  /** Counts tokens. */
  readonly onTokens: (result: LeaseResult, tokens: number) => void
  /** Told of micro-tokens spent of the lease that a debit brought; below 0 where they were taken back. */
  readonly onSpent?: ((lease: Debit, amount: number) => void) | undefined
}

export type Leases = {
  /**
   * Charges debits, at once where all of them can be decided from what is leased or known here; else as the guard does:
   * a promise of debts or null, or null at once while the store is away. `sinceUs`: since when the request has waited, if it has.
   */
  charge(debits: readonly Debit[], sinceUs?: number): readonly number[] | Promise<readonly number[] | null> | null
  /** Gives every lease back and forgets what is known: the limits may have changed. */
  renew(): void
  /** Gives every lease back; resolves when that is done or has failed. */
  close(): Promise<void>
}

/** Microseconds that leased tokens may be spent for, counted from when their call was sent. */
export const LEASE_LIFE_US = 250_000
/** Microseconds after which a lease that nobody spends from goes back. */
const IDLE_US = 100_000
/** Milliseconds between two looks for leases to give back. */
const SWEEP = 25
/** A bucket that refused lately and is asked for all the time is asked about in the store this often, in microseconds. */
const PACE_US = 100_000
/** Microseconds for which a refusal makes a bucket count as one of those. */
const SATURATED_US = 1_000_000
/** A lease grows at most so much from one to the next. */
const GROWTH = 4
/** Of a slow bucket no lease takes more than this part. */
const SHARE = 16
/** Buckets known here at most, and microseconds for which one that nobody asks for is. */
const MAX_KNOWN = 50_000
const KNOWN_US = 1_000_000

/** What is known here of one bucket in the store. */
type Known = {
  /** Whether every request under the bucket's name asks the store. */
  readonly isExact: boolean
  debit: Debit
  /** The debt that the store told of, at `debtUs`, this instance's lease included; none known below 0. */
  debt: number
  debtUs: number
  /** Micro-tokens leased and not spent, of a lease sent for at `sentUs`. */
  tokens: number
  sentUs: number
  spentUs: number
  /** Micro-tokens wanted here since the store was asked last, at `askedUs`. */
  wanted: number
  askedUs: number
  /** Refused by the store until then: asked seldom. */
  saturatedUs: number
  notBeforeUs: number
  /** What the call that may bring a lease will be answered with. */
  pending: Promise<readonly number[] | null> | null
}

/** What was spent here, of the lease sent for at `sentUs`, by a request that must ask the store about other buckets. */
type Spent = { readonly known: Known; readonly cost: number; readonly sentUs: number }

type Verdict = 'spend' | 'refuse' | 'ask'

/**
 * Spends tokens of hot buckets here that were taken from the store several at a time, and refuses here what the store is known
 * to refuse. What is leased is paid for, so over any T seconds no more than burst + rate * (T + life) pass, whatever the
 * number of instances. A bucket asked for seldom is charged in the store, one token a call.
 */
export function createLeases({ guard, giveBack, clock, timeout, isExact, onTokens, onSpent }: LeasesOptions): Leases {
  // Two generations: what nobody asks for during one is forgotten with the next.
  let young = new Map<string, Map<string, Known>>()
  let old = new Map<string, Map<string, Known>>()
  let youngSize = 0
  let bornUs = clock.nowUs()
  let held = new Set<Known>()
  let sweeper: NodeJS.Timeout | undefined
  let closed = false

  function knownOf(debit: Debit, nowUs: number): Known {
    const { bucket, id } = debit
    let ids = young.get(bucket.name)
    if (ids === undefined) {
      ids = new Map()
      young.set(bucket.name, ids)
    }
    let known = ids.get(id)
    if (known !== undefined) return known
    known = old.get(bucket.name)?.get(id) ?? {
      isExact: isExact(bucket.name),
      debit,
      debt: -1,
      debtUs: 0,
      tokens: 0,
      sentUs: 0,
      spentUs: 0,
      wanted: 0,
      askedUs: nowUs,
      saturatedUs: 0,
      notBeforeUs: 0,
      pending: null,
    }
    ids.set(id, known)
    youngSize++
    return known
  }

  function age(nowUs: number): void {
    if (nowUs - bornUs < KNOWN_US && youngSize < MAX_KNOWN) return
    old = young
    young = new Map()
    youngSize = 0
    bornUs = nowUs
  }

  /** The least debt that the bucket can have now, as far as the store told, without what is leased here; below 0: unknown. */
  function debtOf(known: Known, { bucket }: Debit, nowUs: number): number {
    if (known.debt < 0) return -1
    return Math.max(0, debtAt(bucket, known.debt, known.debtUs, nowUs) - known.tokens)
  }

  function judge(known: Known, debit: Debit, nowUs: number): Verdict {
    if (known.isExact) return 'ask'
    if (known.tokens > 0 && nowUs >= known.sentUs + LEASE_LIFE_US) drop(known, nowUs)
    const debt = debtOf(known, debit, nowUs)
    if (debt < 0) return 'ask'
    if (!isAdmitted(debit, Math.max(debit.floor, debt))) return 'refuse'
    // What raises the bucket's debt must reach the store.
    if (known.tokens >= debit.cost && debit.floor <= debt) return 'spend'
    return nowUs < known.notBeforeUs ? 'refuse' : 'ask'
  }

  function spend(known: Known, cost: number, nowUs: number): void {
    known.tokens -= cost
    known.spentUs = nowUs
    onSpent?.(known.debit, cost)
  }

  /** Decides all of it here. */
  function decide(
    debits: readonly Debit[],
    knowns: readonly Known[],
    verdicts: readonly Verdict[],
    isRefused: boolean,
    nowUs: number,
  ): readonly number[] {
    const debts: number[] = []
    for (let i = 0; i < debits.length; i++) {
      const debit = debits[i]!
      let debt = Math.max(debit.floor, debtOf(knowns[i]!, debit, nowUs))
      // Paced: the store might have a token, and is not asked yet.
      if (verdicts[i] === 'refuse' && isAdmitted(debit, debt)) {
        debt = debit.bucket.capacity - debit.cost - debit.reserve + 1
      }
      debts.push(debt)
    }
    if (isRefused) return debts
    for (let i = 0; i < debits.length; i++) {
      const { group, cost } = debits[i]!
      if (group !== 0 && debits.some((other, j) => other.group === group && verdicts[j] === 'refuse')) continue
      spend(knowns[i]!, cost, nowUs)
      onTokens('spent', cost / TOKEN)
    }
    return debts
  }

  function charge(debits: readonly Debit[], sinceUs?: number) {
    const nowUs = clock.nowUs()
    return attempt(debits, nowUs, (sinceUs ?? nowUs) + timeout * 1000, true)
  }

  function attempt(
    debits: readonly Debit[],
    nowUs: number,
    deadlineUs: number,
    mayWait: boolean,
  ): ReturnType<Leases['charge']> {
    if (guard.isOpen || closed) return guard.charge(debits)
    age(nowUs)
    const knowns: Known[] = []
    const verdicts: Verdict[] = []
    let isRefused = false
    let isAsked = false
    let pending: Known['pending'] = null
    for (const debit of debits) {
      const known = knownOf(debit, nowUs)
      const verdict = judge(known, debit, nowUs)
      if (mayWait) known.wanted += debit.cost
      if (verdict === 'refuse' && debit.group === 0) isRefused = true
      if (verdict === 'ask') {
        isAsked = true
        pending ??= known.pending
      }
      knowns.push(known)
      verdicts.push(verdict)
    }
    if (isRefused || !isAsked) return decide(debits, knowns, verdicts, isRefused, nowUs)
    if (pending === null || !mayWait) return ask(debits, knowns, verdicts, nowUs, deadlineUs)
    return pending.then((debts) => (debts === null ? null : attempt(debits, clock.nowUs(), deadlineUs, false)))
  }

  /**
   * Asks the store for what cannot be decided here. What can, of group 0, is spent before and restored when the rest is
   * refused; a shadow group is decided as a whole in one place.
   */
  function ask(
    debits: readonly Debit[],
    knowns: readonly Known[],
    verdicts: readonly Verdict[],
    nowUs: number,
    deadlineUs: number,
  ): Promise<readonly number[] | null> | null {
    const sent: Debit[] = []
    const places: number[] = []
    const spent: Spent[] = []
    const debts: number[] = []
    for (let i = 0; i < debits.length; i++) {
      const debit = debits[i]!
      const known = knowns[i]!
      if (isSpentHere(debits, verdicts, i)) {
        debts.push(Math.max(debit.floor, debtOf(known, debit, nowUs)))
        spend(known, debit.cost, nowUs)
        spent.push({ known, cost: debit.cost, sentUs: known.sentUs })
        continue
      }
      // What is left of a lease is too little for this one; it must not live on with the next.
      drop(known, nowUs)
      const lease = known.isExact || known.pending !== null ? 0 : leaseFor(known, debit, nowUs)
      sent.push(lease > 0 ? { ...debit, lease } : debit)
      places.push(i)
      // What the store answers comes here.
      debts.push(0)
    }
    const charging = guard.charge(sent, deadlineUs)
    if (charging === null) {
      restore(spent)
      return null
    }
    const answered = charging.then((answers) => {
      for (const i of places) if (knowns[i]!.pending === answered) knowns[i]!.pending = null
      if (answers === null) {
        restore(spent)
        return null
      }
      const heardUs = clock.nowUs()
      const isAllowed = groupAdmitted(sent, answers, 0)
      for (let j = 0; j < sent.length; j++) {
        const debt = answers[j]!
        const { group } = sent[j]!
        const isCharged = isAllowed && (group === 0 || groupAdmitted(sent, answers, group))
        learn(knowns[places[j]!]!, sent[j]!, debt, isCharged, nowUs, heardUs)
        debts[places[j]!] = debt
      }
      if (!isAllowed) restore(spent)
      else for (const { cost } of spent) onTokens('spent', cost / TOKEN)
      return debts
    })
    for (const i of places) if (!knowns[i]!.isExact) knowns[i]!.pending ??= answered
    return answered
  }

  function restore(spent: readonly Spent[]): void {
    for (const { known, cost, sentUs } of spent) {
      // Unless the lease has ended meanwhile: then these are lost.
      if (held.has(known) && known.sentUs === sentUs) {
        known.tokens += cost
        onSpent?.(known.debit, -cost)
      } else onTokens('expired', cost / TOKEN)
    }
  }

  /** Micro-tokens to lease: what is wanted here during a lease's life, by what was since the last call. */
  function leaseFor(known: Known, { bucket, cost, reserve }: Debit, nowUs: number): number {
    const { wanted, askedUs } = known
    known.wanted = 0
    known.askedUs = nowUs
    if (wanted <= cost && nowUs - askedUs > LEASE_LIFE_US / 2) return 0
    // What goes into debt is for this request alone.
    if (nowUs === askedUs || reserve < 0) return 0
    const coming = (wanted * LEASE_LIFE_US) / Math.max(1000, nowUs - askedUs)
    const fair = Math.max((bucket.tokens / bucket.seconds) * LEASE_LIFE_US, bucket.capacity / SHARE)
    const lease = Math.min(coming, GROWTH * wanted, fair)
    return Math.floor(lease / TOKEN) * TOKEN
  }

  function learn(known: Known, debit: Debit, debt: number, isCharged: boolean, sentUs: number, heardUs: number): void {
    const taken = isCharged ? leaseTaken(debit, debt) : 0
    if (closed) return void back(debit, taken, heardUs - sentUs)
    known.debit = debit
    known.debt = isCharged ? debt + debit.cost + taken : debt
    known.debtUs = heardUs
    if (taken > 0) {
      onTokens('leased', taken / TOKEN)
      known.tokens += taken
      known.sentUs = sentUs
      known.spentUs = heardUs
      held.add(known)
      startSweeping()
    }
    if (!isAdmitted(debit, debt)) known.saturatedUs = heardUs + SATURATED_US
    const { bucket } = debit
    const pace = Math.min(PACE_US, drainUs(bucket, bucket.capacity) / 8)
    if (heardUs < known.saturatedUs && known.wanted * PACE_US >= 2 * debit.cost * (heardUs - known.askedUs)) {
      known.notBeforeUs = heardUs + pace
    }
  }

  /** Ends a bucket's lease: what is not spent goes back, where the bucket has not refilled it meanwhile. */
  function drop(known: Known, nowUs: number, backs?: Debit[]): void {
    const { tokens, sentUs, debit } = known
    held.delete(known)
    if (tokens === 0) return
    known.tokens = 0
    const debt = guard.isOpen ? null : refund(debit, tokens, nowUs - sentUs)
    const returned = debt === null ? 0 : -debt.cost
    onTokens('returned', returned / TOKEN)
    onTokens('expired', (tokens - returned) / TOKEN)
    known.debt = Math.max(0, known.debt - returned)
    if (debt === null) return
    if (backs === undefined) void giveBack([debt])
    else backs.push(debt)
  }

  function back(debit: Debit, tokens: number, heldUs: number): void {
    const debt = refund(debit, tokens, heldUs)
    if (debt !== null) void giveBack([debt])
  }

  function startSweeping(): void {
    if (sweeper !== undefined) return
    sweeper = setTimeout(sweep, SWEEP)
    sweeper.unref()
  }

  function sweep(): void {
    sweeper = undefined
    const nowUs = clock.nowUs()
    const backs: Debit[] = []
    for (const known of held) {
      if (nowUs >= known.sentUs + LEASE_LIFE_US || nowUs >= known.spentUs + IDLE_US) drop(known, nowUs, backs)
    }
    if (backs.length > 0) void giveBack(backs)
    if (held.size > 0) startSweeping()
  }

  function forget(): Promise<void> {
    const backs: Debit[] = []
    for (const known of held) drop(known, clock.nowUs(), backs)
    held = new Set()
    young = new Map()
    old = new Map()
    youngSize = 0
    clearTimeout(sweeper)
    sweeper = undefined
    return backs.length > 0 ? giveBack(backs) : Promise.resolve()
  }

  return {
    charge,
    renew: () => void forget(),
    close() {
      closed = true
      return forget()
    },
  }
}

/** Whether a debit of a request that asks the store is decided here all the same. */
function isSpentHere(debits: readonly Debit[], verdicts: readonly Verdict[], place: number): boolean {
  const { group } = debits[place]!
  if (group === 0 || verdicts[place] !== 'spend') return verdicts[place] === 'spend'
  return debits.every((other, i) => other.group !== group || verdicts[i] === 'spend')
}
