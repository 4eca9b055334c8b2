import type { Identity } from '../identity/identity.ts'
import type { LimitKey, LimitKeys } from '../identity/limit-keys.ts'
import { FACTORS } from '../policy/factors.ts'
import type { Mode, OnError, Per, Source } from '../policy/types.ts'
import { type Bucket, nextTokenUs, remainingTokens, waitUs } from './bucket.ts'
import { lookDebits, payDebut, unpaidPlans } from './debut.ts'
import type { Decision, DecisionPath, LimitOutcome } from './decision.ts'
import type { Leases } from './leases.ts'
import { type LimitPlan, plansOfTier } from './plan.ts'
import type { Pools } from './pools.ts'
import { GLOBAL_ID, MISSING_ID } from './shared-ids.ts'
import { type Debit, isAdmitted, type LocalStore } from './store.ts'

export type Limiter = {
  /**
   * Decides a request by the limits that matched it, charging them all or none. Synchronous with a store in process,
   * and where leases of a shared one suffice; else a promise, which never rejects and resolves within the store's timeout,
   * counted from `sinceUs` (microseconds) where that is given: a request may have waited for the store before. In process it
   * is the one instant at which the request is decided. `keys`: those of the limits that have a list of sources.
   */
  decide(
    identity: Identity,
    plans: readonly LimitPlan[],
    mode: Mode,
    sinceUs?: number,
    keys?: LimitKeys | null,
  ): Decision | Promise<Decision>
}

export type LimiterOptions = {
  /** The buckets in process: the store itself, or what stands in for the shared one while that is away. */
  readonly local: LocalStore
  readonly shared: Pick<Leases, 'charge'> | null
  /** Counts what was done instead of asking the shared store, once a request. */
  readonly onFallback?: (action: OnError) => void
}

/**
 * One limit as it applies to one request, and when that is judged, what the limit said: one object, for each request makes some.
 * Its debits stand at `first`.. in the list that is charged.
 */
class Claim implements LimitOutcome {
  outcome: LimitOutcome['outcome'] = 'allowed'
  remaining = 0
  waitUs = 0
  nextUs = 0
  readonly plan: LimitPlan
  readonly group: number
  readonly first: number
  readonly count: number
  /** The client left out what the limit is keyed by, and the limit denies that. */
  readonly missing: boolean

  constructor(plan: LimitPlan, group: number, first: number, count: number, missing: boolean) {
    this.plan = plan
    this.group = group
    this.first = first
    this.count = count
    this.missing = missing
  }
}

/** Creates the limiter: the one place where limits, identities and buckets meet. */
export function createLimiter({ local, shared, onFallback }: LimiterOptions): Limiter {
  function decide(
    identity: Identity,
    matched: readonly LimitPlan[],
    mode: Mode,
    sinceUs?: number,
    keys: LimitKeys | null = null,
  ): Decision | Promise<Decision> {
    const plans = plansOfTier(matched, identity.tier)
    const debits: Debit[] = []
    const claims = claimAll(identity, plans, keys, debits, false)
    const missing = missingOf(claims)
    if (missing !== null) {
      const outcomes = withoutCharge(claims, ({ missing }) => missing, mode)
      // In shadow too it costs nothing, or a day in shadow would count more than enforcement will.
      if (mode === 'shadow') return { verdict: 'allowed', path: 'local', outcomes, binding: null }
      return { verdict: 'missing', limit: missing.plan, path: 'local', outcomes, binding: null }
    }
    if (debits.length === 0) return conclude(claims, debits, [], mode, 'local')
    const unpaid = unpaidPlans(identity, plans)
    if (unpaid.length > 0) return decideDebut(identity, plans, mode, claims, debits, unpaid, sinceUs, keys)
    if (shared === null) return conclude(claims, debits, local.charge(debits, sinceUs), mode, 'local')
    const charging = shared.charge(debits, sinceUs)
    if (charging === null) return decideWithout(identity, plans, mode, keys)
    if (!(charging instanceof Promise)) return conclude(claims, debits, charging, mode, 'leased')
    return charging.then((debts) =>
      debts === null ? decideWithout(identity, plans, mode, keys) : conclude(claims, debits, debts, mode, 'store'),
    )
  }

  /** Decides a new member's first request under some limit: what its bucket begins with depends on what its class owes. */
  function decideDebut(
    identity: Identity,
    plans: readonly LimitPlan[],
    mode: Mode,
    claims: readonly Claim[],
    debits: Debit[],
    unpaid: readonly LimitPlan[],
    sinceUs: number | undefined,
    keys: LimitKeys | null,
  ): Decision | Promise<Decision> {
    const looks = lookDebits(identity, unpaid, false)
    const settle = (decision: Decision) => {
      // A refused request has paid nothing.
      if (decision.verdict !== 'allowed') for (const { limit } of unpaid) identity.debut!.paid.delete(limit.name)
      return decision
    }
    if (shared === null) {
      payAll(identity, claims, debits, unpaid, looks, local.charge(looks, sinceUs), false)
      return settle(conclude(claims, debits, local.charge(debits, sinceUs), mode, 'local'))
    }
    const looking = shared.charge(looks, sinceUs)
    if (looking === null) return settle(decideWithout(identity, plans, mode, keys))
    return Promise.resolve(looking)
      .then((debts) => {
        if (debts === null) return null
        payAll(identity, claims, debits, unpaid, looks, debts, false)
        return shared.charge(debits, sinceUs)
      })
      .then((debts) =>
        settle(
          debts === null ? decideWithout(identity, plans, mode, keys) : conclude(claims, debits, debts, mode, 'store'),
        ),
      )
  }

  /** Decides while the shared store is away, each limit as its `on_error` says. */
  function decideWithout(
    identity: Identity,
    plans: readonly LimitPlan[],
    mode: Mode,
    keys: LimitKeys | null,
  ): Decision {
    const denies = ({ limit }: LimitPlan) => limit.onError === 'deny' && limit.mode === 'enforce'
    const denying = plans.find(denies)
    if (denying !== undefined && mode === 'enforce') {
      onFallback?.('deny')
      const outcomes = withoutCharge(claimAll(identity, plans, keys, [], true), ({ plan }) => denies(plan), mode)
      return { verdict: 'unavailable', limit: denying, path: 'fallback', outcomes, binding: null }
    }
    const counted = plans.filter((plan) => plan.limit.onError === 'local')
    onFallback?.(counted.length > 0 ? 'local' : 'allow')
    const debits: Debit[] = []
    const claims = claimAll(identity, counted, keys, debits, true)
    const unpaid = unpaidPlans(identity, counted)
    if (unpaid.length > 0) {
      const looks = lookDebits(identity, unpaid, true)
      payAll(identity, claims, debits, unpaid, looks, local.charge(looks), true)
    }
    return conclude(claims, debits, local.charge(debits), mode, 'fallback')
  }

  return { decide }
}

/** Has a new member pay for the buckets it gets: behind the debits of the claims stand what the others pay. */
function payAll(
  identity: Identity,
  claims: readonly Claim[],
  debits: Debit[],
  unpaid: readonly LimitPlan[],
  looks: readonly Debit[],
  classDebts: readonly number[],
  isLocalShare: boolean,
): void {
  for (const [i, plan] of unpaid.entries()) {
    const claim = claims.find((one) => one.plan === plan)!
    const pools = isLocalShare ? plan.localPools : plan.pools
    const paid = payDebut(identity, pools, debits[claim.first]!, looks[i]!, classDebts[i]!)
    debits[claim.first] = paid.own
    debits.push(...paid.payments)
    // At once, for the next request of it may come before this one's answer.
    identity.debut!.paid.add(plan.limit.name)
  }
}

/** What the limits say where some reject without a look at a bucket: none is charged. */
function withoutCharge(
  claims: readonly Claim[],
  rejects: (claim: Claim) => boolean,
  mode: Mode,
): readonly LimitOutcome[] {
  for (const claim of claims) claim.outcome = rejects(claim) ? rejection(claim, mode) : 'uncharged'
  return claims
}

function rejection({ group }: Claim, mode: Mode): 'limited' | 'would_limit' {
  return group === 0 && mode === 'enforce' ? 'limited' : 'would_limit'
}

/** Adds each limit's debits to the list, and says which are whose. */
function claimAll(
  identity: Identity,
  plans: readonly LimitPlan[],
  keys: LimitKeys | null,
  debits: Debit[],
  isLocalShare: boolean,
): Claim[] {
  const claims: Claim[] = []
  for (let i = 0; i < plans.length; i++) {
    const plan = plans[i]!
    const first = debits.length
    const group = isEnforced(plan) ? 0 : i + 1
    const { per } = plan.limit
    const missing =
      typeof per === 'string'
        ? claim(identity, plan, per, group, debits, isLocalShare)
        : claimSources(identity, plan, per, keys?.get(plan.limit.name), group, debits, isLocalShare)
    if (missing || debits.length > first) claims.push(new Claim(plan, group, first, debits.length - first, missing))
  }
  return claims
}

/** Adds the debits of one limit. True when the client left out its key and that is denied. */
function claim(
  identity: Identity,
  plan: LimitPlan,
  per: Exclude<Per, readonly Source[]>,
  group: number,
  debits: Debit[],
  isLocalShare: boolean,
): boolean {
  const pools = isLocalShare ? plan.localPools : plan.pools
  const { network } = identity
  const { cost } = plan
  switch (per) {
    case 'device':
      claimDevice(identity, pools, cost, group, debits)
      return false
    case 'network':
      debits.push({ bucket: pools.device, id: network.id, tag: network.tag, cost, group, reserve: 0, floor: 0 })
      return false
    case 'global':
      debits.push({ bucket: pools.device, id: GLOBAL_ID, tag: plan.limit.name, cost, group, reserve: 0, floor: 0 })
      return false
    case 'principal': {
      if (identity.tier === 'principal') {
        debits.push({ bucket: pools.device, id: identity.id, tag: identity.tag, cost, group, reserve: 0, floor: 0 })
        return false
      }
      if (plan.limit.onMissing === 'share') {
        debits.push({ bucket: pools.device, id: MISSING_ID, tag: plan.limit.name, cost, group, reserve: 0, floor: 0 })
      }
      return plan.limit.onMissing === 'deny'
    }
  }
}

/** The same for a list of sources: one bucket for what they say together, or, where one of them is the device, those of a device. */
function claimSources(
  identity: Identity,
  plan: LimitPlan,
  per: readonly Source[],
  key: LimitKey | undefined,
  group: number,
  debits: Debit[],
  isLocalShare: boolean,
): boolean {
  if (key === undefined) throw new Error(`the key of limit ${plan.limit.name} was not read`)
  const { onMissing } = plan.limit
  if (key.isMissing && (onMissing === 'skip' || onMissing === 'deny')) return onMissing === 'deny'
  const pools = isLocalShare ? plan.localPools : plan.pools
  const { cost } = plan
  if (per.some(({ kind }) => kind === 'device')) {
    const first = debits.length
    claimDevice(identity, pools, cost, group, debits)
    for (let i = first; i < debits.length; i++) debits[i] = { ...debits[i]!, id: key.name(debits[i]!.id) }
    return false
  }
  const id = key.name('')
  debits.push({ bucket: pools.device, id, tag: key.tag(id), cost, group, reserve: 0, floor: 0 })
  return false
}

/** The device's own bucket, if it has shown that it has one; that of its class, if not admitted; the pool it shares. */
function claimDevice(identity: Identity, pools: Pools, cost: number, group: number, debits: Debit[]): void {
  const { own, network, pool, crowds } = identity
  const { tag } = network
  if (own !== null) {
    debits.push({ bucket: pools.device, id: own.id, tag: own.tag, cost, group, reserve: 0, floor: 0 })
  }
  if (pool === 'none') return
  if (pool === 'newcomers') {
    const bucket = pools.classes(crowds[0]!.members)
    debits.push({ bucket, id: identity.classId, tag, cost, group, reserve: 0, floor: 0 })
  }
  for (let level = 0; level < crowds.length; level++) {
    const { id, factor } = level === 0 ? { id: network.id, factor: 1 } : network.parents[level - 1]!
    const { members, halfWeights } = crowds[level]!
    const bucket = pool === 'members' ? pools.members(halfWeights, factor) : pools.newcomers(members, factor)
    const reserve = identity.isSettled ? 0 : reserveOf(identity, pools, bucket, members, cost)
    debits.push({ bucket, id, tag, cost, group, reserve, floor: 0 })
  }
}

/** What a pool keeps back from those that it knows least: micro-tokens, never so many that their cost could not be had. */
function reserveOf({ pool }: Identity, pools: Pools, bucket: Bucket, members: number, cost: number): number {
  const kept =
    pool === 'members'
      ? Math.floor((bucket.capacity - pools.device.capacity) * FACTORS.agedReserve)
      : members === 0
        ? 0
        : Math.floor(bucket.capacity * FACTORS.knownReserve)
  return Math.max(0, Math.min(kept, bucket.capacity - cost))
}

/** The enforced limit whose key the client left out, where that is denied. */
function missingOf(claims: readonly Claim[]): Claim | null {
  for (const claim of claims) if (claim.missing && claim.group === 0) return claim
  return null
}

/** Turns the debts before the charge into what each limit said, and into one verdict. Shadow is decided here alone. */
function conclude(
  claims: readonly Claim[],
  debits: readonly Debit[],
  debts: readonly number[],
  mode: Mode,
  path: DecisionPath,
): Decision {
  let isRefused = false
  for (const claim of claims) {
    if (!claim.missing && admitsAll(claim, debits, debts)) continue
    claim.outcome = rejection(claim, mode)
    if (claim.group === 0) isRefused = true
  }
  for (const claim of claims) {
    if (isRefused && claim.outcome === 'allowed') claim.outcome = 'uncharged'
    settle(claim, debits, debts)
  }
  if (mode === 'shadow') return { verdict: 'allowed', path, outcomes: claims, binding: null }
  const binding = bindingOf(claims)
  if (binding?.outcome === 'limited') return { verdict: 'limited', path, outcomes: claims, binding }
  return { verdict: 'allowed', path, outcomes: claims, binding }
}

/** Works out what a limit has left, and when it has more, from the debts before the charge. */
function settle(claim: Claim, debits: readonly Debit[], debts: readonly number[]): void {
  const { first, count, outcome } = claim
  if (count === 0) return
  const isCharged = outcome === 'allowed'
  const isAdmitted = isCharged || outcome === 'uncharged'
  let remaining = Number.POSITIVE_INFINITY
  let wait = 0
  let next = 0
  for (let i = first; i < first + count; i++) {
    const { bucket, cost, reserve } = debits[i]!
    const taken = debts[i]! + reserve
    const debt = isCharged ? taken + cost : taken
    const left = remainingTokens(bucket, debt)
    if (left <= remaining) {
      const us = nextTokenUs(bucket, debt, left)
      next = left < remaining ? us : Math.max(next, us)
      remaining = left
    }
    if (!isAdmitted) wait = Math.max(wait, waitUs(bucket, taken, cost))
  }
  claim.remaining = remaining
  claim.waitUs = wait
  claim.nextUs = next
}

/** The limit to tell a client about: when refused the longest wait, else the smallest share left; null where none is enforced. */
export function bindingOf(outcomes: readonly LimitOutcome[]): LimitOutcome | null {
  let binding: LimitOutcome | null = null
  for (const outcome of outcomes) {
    if (!isEnforced(outcome.plan)) continue
    if (binding === null || bindsMore(outcome, binding)) binding = outcome
  }
  return binding
}

function bindsMore(a: LimitOutcome, b: LimitOutcome): boolean {
  if (a.outcome !== b.outcome) return a.outcome === 'limited'
  if (a.outcome === 'limited') return a.waitUs > b.waitUs
  return a.remaining / a.plan.limit.burst < b.remaining / b.plan.limit.burst
}

function admitsAll({ first, count }: Claim, debits: readonly Debit[], debts: readonly number[]): boolean {
  for (let i = first; i < first + count; i++) if (!isAdmitted(debits[i]!, debts[i]!)) return false
  return true
}

function isEnforced(plan: LimitPlan): boolean {
  return plan.limit.mode === 'enforce'
}
