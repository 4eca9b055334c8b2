import type { Limit, Match, Rate } from '../policy/types.ts'
import { type Bucket, drainUs, TOKEN } from './bucket.ts'

/** A limit worked out once, at load: what a request needs of it is only looked up. */
export type LimitPlan = {
  readonly limit: Limit
  readonly match: Match
  /** The bucket each client has under this limit. */
  readonly bucket: Bucket
  /** What the unproved devices of one network share; `per: device` only. */
  readonly newcomers: Bucket | null
  /** The instance's share of the two, while the store is away. */
  readonly localBucket: Bucket
  readonly localNewcomers: Bucket | null
  /** Micro-tokens. */
  readonly cost: number
  /** Seconds in which an empty bucket fills, at least 1: `w` of the RateLimit-Policy field. */
  readonly windowSeconds: number
}

/** Works a limit out; while the store is away an instance grants the `expectedInstances`-th part of rate and burst. */
export function planLimit(limit: Limit, expectedInstances: number): LimitPlan {
  const { name, rate, burst, newcomers } = limit
  const bucket = createBucket(name, rate, burst)
  const shared = newcomers === null ? null : createBucket(`${name}+newcomers`, newcomers.rate, newcomers.burst)
  return {
    limit,
    match: limit.match,
    bucket,
    newcomers: shared,
    localBucket: share(bucket, expectedInstances, limit.cost),
    localNewcomers: shared && share(shared, expectedInstances, limit.cost),
    cost: limit.cost * TOKEN,
    windowSeconds: Math.max(1, Math.ceil(drainUs(bucket, bucket.capacity) / 1e6)),
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
