import type { CrowdSize } from '../identity/identity.ts'
import { type Bucket, drainUs, nextTokenUs, remainingTokens, TOKEN } from '../limiter/bucket.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import { type Debit, lookCost } from '../limiter/store.ts'

/** What a pseudonym stands for. */
export type KeyKind = 'network' | 'principal' | 'member' | 'token' | 'class'

/** A bucket under a key, as a person reads it. */
export type BucketState = {
  readonly limit: string
  /** Whose it is: the key's own, or what the newcomers or the members of the network share. */
  readonly bucket: 'own' | 'newcomers' | 'members'
  readonly burst: number
  /** Tokens a second. */
  readonly rate: number
  /** Tokens owed, and whole tokens left. */
  readonly debt: number
  readonly remaining: number
  /** Milliseconds until there is one token more, and until the bucket is full. */
  readonly next_ms: number
  readonly full_ms: number
}

export type Look = { readonly limit: string; readonly part: BucketState['bucket']; readonly debit: Debit }

export type LookedAt = {
  readonly key: string
  readonly kind: KeyKind | null
  readonly tag: string
  /** What a wider network is allowed, as a multiple of one network's. */
  readonly factor: number
}

/** No bucket is larger, in micro-tokens (limiter/pools.ts). */
const ALL = 2 ** 52

/** The buckets that a key can have under the limits; of one of unknown kind all that any kind has. */
export function looksAt(
  { key, kind, tag, factor }: LookedAt,
  plans: readonly LimitPlan[],
  crowd: CrowdSize,
): readonly Look[] {
  const looks: Look[] = []
  function add(plan: LimitPlan, part: Look['part'], bucket: Bucket): void {
    // A group of its own, so that each is answered for itself.
    const group = looks.length + 1
    const debit = { bucket, id: key, tag, cost: lookCost(bucket), group, reserve: 0, floor: 0 }
    looks.push({ limit: plan.limit.name, part, debit })
  }
  const isNetwork = kind === 'network' || kind === null
  const isOwn = kind !== 'network'
  for (const plan of plans) {
    const { pools, limit } = plan
    if (limit.per === 'device' && isOwn)
      add(plan, 'own', kind === 'class' ? pools.classes(crowd.members) : pools.device)
    if (limit.per === 'device' && isNetwork) {
      add(plan, 'newcomers', pools.newcomers(crowd.members, factor))
      add(plan, 'members', pools.members(crowd.halfWeights, factor))
    }
    if (limit.per === 'network' && isNetwork) add(plan, 'own', pools.device)
    if (limit.per === 'principal' && (kind === 'principal' || kind === null)) add(plan, 'own', pools.device)
  }
  return looks
}

/** The debits that give a bucket back all that it owes, however large it has grown since. */
export function emptying(looks: readonly Look[]): readonly Debit[] {
  return looks.map(({ debit }) => ({ ...debit, cost: -ALL, group: 0 }))
}

export function bucketState({ limit, part, debit: { bucket } }: Look, debt: number): BucketState {
  const owed = Math.min(debt, bucket.capacity)
  return {
    limit,
    bucket: part,
    burst: bucket.capacity / TOKEN,
    rate: bucket.tokens / bucket.seconds,
    debt: owed / TOKEN,
    remaining: remainingTokens(bucket, owed),
    next_ms: Math.ceil(nextTokenUs(bucket, owed) / 1000),
    full_ms: Math.ceil(drainUs(bucket, owed) / 1000),
  }
}
