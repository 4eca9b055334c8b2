import { admits, type Bucket } from './bucket.ts'

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
 * No two debits of one call may name the same bucket and id.
 */
type Store<Debts> = {
  charge(debits: readonly Debit[]): Debts
  close(): Promise<void>
}

/** A store in process: it answers at once. */
export type LocalStore = Store<readonly number[]> & {
  /** The number of buckets held. */
  size(): number
}

/** A store behind a network: it may be away, and then rejects with a SluiceError `store_unavailable`. */
export type SharedStore = Store<Promise<readonly number[]>> & {
  /** Resolves when the store could charge now, so that a probe needs no client's request. */
  ping(): Promise<void>
}

/** Whether a debit is admitted, by the debt that the store answered with. */
export function isAdmitted({ bucket, cost, reserve }: Debit, debt: number): boolean {
  return admits(bucket, debt, cost + reserve)
}
