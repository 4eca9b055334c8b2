import type { Tier } from '../identity/identity.ts'
import type { Limit, Match, Rate, TierName } from '../policy/types.ts'
import { type Bucket, drainUs, TOKEN } from './bucket.ts'
import { createPools, type Pools } from './pools.ts'

/** A limit worked out once, at load: what a request needs of it is only looked up. */
export type LimitPlan = {
  readonly limit: Limit
  readonly match: Match
  /** The tiers that it counts; null for all. */
  readonly tiers: ReadonlySet<Tier> | null
  /** The bucket each client has under this limit, and those a network's devices share. */
  readonly pools: Pools
  /** The instance's share of them, while the store is away. */
  readonly localPools: Pools
  /** Micro-tokens. */
  readonly cost: number
  /** Seconds in which an empty bucket fills, at least 1: `w` of the RateLimit-Policy field. */
  readonly windowSeconds: number
}

/** What the policy calls the tiers. A client that shows nothing usable is anonymous too, or it could choose to be counted by no limit. */
const TIERS: Readonly<Record<TierName, readonly Tier[]>> = {
  anonymous: ['class', 'overflow'],
  token: ['token'],
  known: ['member'],
  principal: ['principal'],
}

/** The limits that count a client of this tier. */
export function plansOfTier(plans: readonly LimitPlan[], tier: Tier): readonly LimitPlan[] {
  if (plans.every(({ tiers }) => tiers === null)) return plans
  return plans.filter(({ tiers }) => tiers === null || tiers.has(tier))
}

/** Works a limit out; while the store is away an instance grants the `expectedInstances`-th part of rate and burst. */
export function planLimit(limit: Limit, expectedInstances: number): LimitPlan {
  const pools = createPools(limit, (bucket) => bucket)
  return {
    limit,
    match: limit.match,
    tiers: limit.tiers && new Set(limit.tiers.flatMap((name) => TIERS[name])),
    pools,
    localPools: createPools(limit, (bucket) => share(bucket, expectedInstances, limit.cost)),
    cost: limit.cost * TOKEN,
    windowSeconds: Math.max(1, Math.ceil(drainUs(pools.device, pools.device.capacity) / 1e6)),
  }
}

/** A bucket of `burst` tokens that refills at `rate`. */
export function createBucket(name: string, rate: Rate, burst: number): Bucket {
  return { name, capacity: burst * TOKEN, tokens: rate.tokens, seconds: rate.seconds }
}

function share(bucket: Bucket, instances: number, cost: number): Bucket {
  // A share below one request's cost would refuse everybody for good.
  const capacity = Math.max(cost * TOKEN, Math.floor(bucket.capacity / instances))
  return { ...bucket, capacity, seconds: bucket.seconds * instances }
}
