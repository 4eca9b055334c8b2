import type { Clock } from '../clock.ts'
import { LEASE_LIFE_US } from '../limiter/leases.ts'
import { type Debit, isAdmitted, leaseTaken, refund } from '../limiter/store.ts'
import { createMemoryStore, type MemoryStore } from '../stores/memory.ts'
import { createMemoryMembers } from '../stores/memory-members.ts'
import type { PrimaryAnswers } from './questions.ts'

/** What one worker may ask of the buckets. */
export type Loans = Pick<PrimaryAnswers, 'charge' | 'members'> & {
  /** The worker has died: what it held goes back. */
  end(): void
}

export type Lending = {
  readonly store: MemoryStore
  open(): Loans
}

/** A lease that the worker holds, as far as it has told: micro-tokens not spent of what was lent at a time (microseconds). */
type Loan = { readonly debit: Debit; tokens: number; readonly lentUs: number }

/** A worker has given a lease back, or has nothing left to give, when it is this old. */
const FORGET_US = LEASE_LIFE_US + 1_000_000

/**
 * The buckets and the roll of members, kept in the primary for its workers. It notes what is lent to whom: the leases of a
 * worker that dies return, less what the buckets refilled meanwhile and less what the worker has told that it spent.
 */
export function createLending({ maxBuckets, clock }: { readonly maxBuckets: number; readonly clock: Clock }): Lending {
  const store = createMemoryStore({ maxBuckets, clock })
  const members = createMemoryMembers(clock)

  function open(): Loans {
    // In the order of their age.
    const loans = new Map<string, Loan>()

    function note(debits: readonly Debit[], debts: readonly number[], lentUs: number): void {
      const refused = new Set<number>()
      for (const [i, debit] of debits.entries()) if (!isAdmitted(debit, debts[i]!)) refused.add(debit.group)
      for (const [i, debit] of debits.entries()) {
        if (debit.cost < 0) loans.delete(keyOf(debit.bucket.name, debit.id))
        if (debit.lease === undefined || refused.has(0) || refused.has(debit.group)) continue
        const tokens = leaseTaken(debit, debts[i]!)
        if (tokens === 0) continue
        const key = keyOf(debit.bucket.name, debit.id)
        loans.delete(key)
        loans.set(key, { debit, tokens, lentUs })
      }
    }

    function forget(nowUs: number): void {
      for (const [key, { lentUs }] of loans) {
        if (nowUs - lentUs < FORGET_US) return
        loans.delete(key)
      }
    }

    return {
      charge(requests, spent) {
        const nowUs = clock.nowUs()
        for (const [bucketName, id, amount] of spent) {
          const loan = loans.get(keyOf(bucketName, id))
          if (loan !== undefined) loan.tokens -= amount
        }
        forget(nowUs)
        return requests.map((debits) => {
          const debts = store.charge(debits)
          note(debits, debts, nowUs)
          return debts
        })
      },
      members,
      end() {
        const nowUs = clock.nowUs()
        for (const { debit, tokens, lentUs } of loans.values()) {
          const back = refund(debit, tokens, nowUs - lentUs)
          if (back !== null) store.charge([back])
        }
        loans.clear()
      },
    }
  }

  return { store, open }
}

/** No limit's name has a colon. */
function keyOf(bucketName: string, id: string): string {
  return `${bucketName}:${id}`
}
