import { admits, type Bucket, TOKEN } from './bucket.ts'

/** One bucket that a request wants to take from. */
export type Debit = {
  readonly bucket: Bucket
  /** Names the client within `bucket.name`: a pseudonym, never a raw value. */
  readonly id: string
  /** A short pseudonym of the network or principal: keys of one tag live together, and share a bucket when there is no room. */
  readonly tag: string
  /** Micro-tokens. */
  readonly cost: number
  /** Micro-tokens that must stay in the bucket for others; below 0 the cost may be taken though it is not there. */
  readonly reserve: number
  /** The least debt (micro-tokens) that the bucket has before the charge; written only with a charge. */
  readonly floor: number
  /** 0 for the enforced limits, charged all or none; a number of its own for each shadow limit. */
  readonly group: number
  /** Micro-tokens to take beside the cost, as far as `leaseTaken` says; none where left out. */
  readonly lease?: number
}

/**
 * Keeps the buckets. It is owned here, by its caller: limiter never imports a store.
 *
 * `charge` settles the debits of one request at one instant and answers with each bucket's debt (micro-tokens) as it
 * was before the charge, in the order of the debits; by `isAdmitted` the caller sees from them what was charged:
 * - group 0 is charged when all its debits are admitted, else nothing at all is;
 * - every other group is charged when group 0 was and all its own debits are admitted; it never affects another group.
 * Example: debits [a of group 0, b of group 0, s of group 1] with b empty -> [debt a, debt b, debt s], no state changed.
 *
 * A cost below 0 gives tokens back, to a bucket that is in debt still. No two debits of one call may name the same bucket and id.
 */
type Store<Debts> = {
  charge(debits: readonly Debit[]): Debts
  close(): Promise<void>
}

/** A store in process: it answers at once. */
export type LocalStore = Omit<Store<readonly number[]>, 'charge'> & {
  /** `nowUs`: the instant to settle at, the same for all charges of one request; where it is left out the clock says. */
  charge(debits: readonly Debit[], nowUs?: number): readonly number[]
  /** The number of buckets held. */
  size(): number
}

/** A store behind a network: it may be away, and then rejects with a SluiceError `store_unavailable`. */
export type SharedStore = Store<Promise<readonly number[]>> & {
  /** Gives tokens back (costs below 0), once: when it fails they are lost. Never rejects. */
  giveBack(debits: readonly Debit[]): Promise<void>
  /** Resolves when the store could charge now, so that a probe needs no client's request. */
  ping(): Promise<void>
}

/** A cost that no bucket holds: a debit of it is refused and takes nothing, and the store answers with what the bucket owes. */
export function lookCost({ capacity }: Bucket): number {
  return capacity + 1
}

/** Whether a debit is admitted, by the debt that the store answered with. */
export function isAdmitted({ bucket, cost, reserve }: Debit, debt: number): boolean {
  return admits(bucket, debt, cost + reserve)
}

/** Whether all debits of a group are admitted, by the debts that the store answered with. */
export function groupAdmitted(debits: readonly Debit[], debts: readonly number[], group: number): boolean {
  for (let i = 0; i < debits.length; i++) {
    const debit = debits[i]!
    if (debit.group === group && !isAdmitted(debit, debts[i]!)) return false
  }
  return true
}

/** The micro-tokens that an admitted debit took as a lease: at most half of what its cost left, so that others find some. */
export function leaseTaken({ bucket, cost, reserve, lease = 0 }: Debit, debt: number): number {
  const half = (bucket.capacity - debt - cost - reserve) / 2
  return Math.max(0, Math.floor(Math.min(lease, half) / TOKEN) * TOKEN)
}

/**
 * The debit that gives back micro-tokens held for `heldUs`, less what the bucket refilled meanwhile (it was refilled as if
 * they were spent); null where that is all of them.
 */
export function refund({ bucket, id, tag }: Debit, amount: number, heldUs: number): Debit | null {
  const back = amount - Math.ceil((heldUs * bucket.tokens) / bucket.seconds)
  return back <= 0 ? null : { bucket, id, tag, cost: -back, group: 0, reserve: 0, floor: 0 }
}
