import type { Identity } from '../identity/identity.ts'
import { FACTORS } from '../policy/factors.ts'
import { remainingTokens, TOKEN } from './bucket.ts'
import type { LimitPlan } from './plan.ts'
import type { Pools } from './pools.ts'
import { type Debit, lookCost } from './store.ts'

/**
 * A new member's bucket is not filled for free, once in its life: it takes a share of its class's tokens along, and what is
 * missing to the least it needs is drawn from the newcomers as debt (identity.md section 3). Else a farm of cookies would be a
 * farm of full buckets.
 */

const NONE: readonly LimitPlan[] = []

/** The limits of which a new member has no bucket yet. */
export function unpaidPlans({ debut }: Identity, plans: readonly LimitPlan[]): readonly LimitPlan[] {
  if (debut === null) return NONE
  return plans.filter(({ limit }) => limit.per === 'device' && !debut.paid.has(limit.name))
}

/** Debits that take nothing, for no bucket holds their cost: the store answers with what the class owes. */
export function lookDebits(identity: Identity, unpaid: readonly LimitPlan[], isLocalShare: boolean): Debit[] {
  return unpaid.map((plan, i) => {
    const bucket = (isLocalShare ? plan.localPools : plan.pools).classes(identity.crowds[0]!.members)
    const { tag } = identity.network
    // Group 0 would refuse nothing either: no other debit stands in the call.
    return { bucket, id: identity.debut!.classId, tag, cost: lookCost(bucket), group: i + 1, reserve: 0, floor: 0 }
  })
}

/** What one limit's new bucket begins with, and the debits that pay for it; they are admitted whatever stands in the way. */
export function payDebut(
  identity: Identity,
  pools: Pools,
  own: Debit,
  look: Debit,
  classDebt: number,
): { readonly own: Debit; readonly payments: readonly Debit[] } {
  const { capacity } = own.bucket
  const tokens = remainingTokens(look.bucket, classDebt)
  const taken = Math.min(capacity, Math.floor(tokens * FACTORS.debutShare) * TOKEN)
  const least = Math.min(capacity, Math.max(FACTORS.debutTokens * TOKEN, own.cost))
  const drawn = Math.max(0, least - taken)
  const { network, crowds } = identity
  const newcomers = pools.newcomers(crowds[0]!.members, 1)
  const { group } = own
  const payments: Debit[] = []
  if (taken > 0) payments.push({ ...look, cost: taken, group, reserve: -look.bucket.capacity })
  if (drawn > 0) {
    const reserve = -newcomers.capacity
    payments.push({ bucket: newcomers, id: network.id, tag: network.tag, cost: drawn, group, reserve, floor: 0 })
  }
  return { own: { ...own, floor: capacity - taken - drawn }, payments }
}
