import type { Roll } from '../identity/roll.ts'
import { type Debit, lookCost } from '../limiter/store.ts'

/** A debit and what the bucket owed before it (micro-tokens). */
export type Look = { readonly debit: Debit; readonly debt: number }

/** Debits of which none can be taken, for no bucket holds their cost: a store answers with the debts and changes nothing. */
function onlyLooks(debits: readonly Debit[]): Debit[] {
  return debits.map((debit) => ({
    ...debit,
    cost: lookCost(debit.bucket),
    group: 0,
    reserve: 0,
    lease: 0,
  }))
}

/**
 * A store for the limiter that takes nothing from the one behind it: it answers with the true debts, from which the limiter
 * judges as ever. What was asked for last, and found, is in `looks`.
 */
export function lookingAt<Debts extends readonly number[] | Promise<readonly number[] | null> | null>(
  charge: (debits: readonly Debit[]) => Debts,
) {
  let looks: readonly Look[] = []
  function note<T extends readonly number[] | null>(debits: readonly Debit[], debts: T): T {
    looks = debts === null ? [] : debits.map((debit, i) => ({ debit, debt: debts[i]! }))
    return debts
  }
  return {
    charge(debits: readonly Debit[]): Debts {
      const found = charge(onlyLooks(debits))
      if (found instanceof Promise) return found.then((debts) => note(debits, debts)) as Debts
      note(debits, found as readonly number[] | null)
      return found
    },
    looks: () => looks,
  }
}

/** The shared roll of members, looked at: whoever could be admitted counts as admitted, and is not entered. */
export function lookingRoll(roll: Roll): Roll {
  return {
    call: (call, sinceUs) => (call.note === null ? roll.call(call, sinceUs) : Promise.resolve(null)),
    charge: (debits, sinceUs) => roll.charge(onlyLooks(debits), sinceUs),
  }
}
