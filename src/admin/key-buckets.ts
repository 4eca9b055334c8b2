import type { CrowdSize } from '../identity/identity.ts'
import { type Bucket, drainUs, nextTokenUs, remainingTokens, TOKEN } from '../limiter/bucket.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import { GLOBAL_ID, MISSING_ID } from '../limiter/shared-ids.ts'
import { type Debit, lookCost } from '../limiter/store.ts'

/** What a pseudonym stands for; `sources`: what a limit's list of sources says together. */
export type KeyKind = 'network' | 'principal' | 'member' | 'token' | 'class' | 'sources'

/** A bucket under a key, as a person reads it. */
export type BucketState = {
  readonly limit: string
  /**
   * Whose it is: the key's own, or what others share with it: the newcomers or the members of the network, who left out what the
   * limit counts by, or everybody.
   */
  readonly bucket: 'own' | 'newcomers' | 'members' | 'missing' | 'global'
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

/** A key, and what tells which buckets it has. */
export type NamedKey = {
  readonly key: string
  readonly kind: KeyKind
  /** Where it is one of a network. */
  readonly network: string | null
  /** Where its buckets lie in a shared store of several nodes. */
  readonly tag: string
  /** What a wider network is allowed, as a multiple of one network's. */
  readonly factor: number
  /** The limit with a list of sources that it is a key of; null where it is the client's under the other limits. */
  readonly limit: string | null
}

/** The same of one that may be of any kind. */
export type LookedAt = Omit<NamedKey, 'kind' | 'network'> & { readonly kind: KeyKind | null }

/** No bucket is larger, in micro-tokens (limiter/pools.ts). */
const ALL = 2 ** 52

/** The buckets that a key can have under the limits; of one of unknown kind all that any kind has. */
export function looksAt(named: LookedAt, plans: readonly LimitPlan[], crowd: CrowdSize): readonly Look[] {
  const looks: Look[] = []
  for (const plan of plans) {
    for (const { part, bucket, id = named.key, tag = named.tag } of partsOf(named, plan, crowd)) {
      // A group of its own, so that each is answered for itself.
      const group = looks.length + 1
      const debit = { bucket, id, tag, cost: lookCost(bucket), group, reserve: 0, floor: 0 }
      looks.push({ limit: plan.limit.name, part, debit })
    }
  }
  return looks
}

type Part = { readonly part: Look['part']; readonly bucket: Bucket; readonly id?: string; readonly tag?: string }

function partsOf(named: LookedAt, plan: LimitPlan, crowd: CrowdSize): readonly Part[] {
  const { kind, limit: only } = named
  const { pools, limit } = plan
  const { per, name } = limit
  const isUnknown = kind === null
  const own: Part = { part: 'own', bucket: pools.device }
  if (typeof per !== 'string') {
    if (only !== name && !isUnknown) return []
    return per.some((source) => source.kind === 'device') ? deviceParts(named, plan, crowd) : [own]
  }
  if (only !== null) return []
  switch (per) {
    case 'device':
      return deviceParts(named, plan, crowd)
    case 'network':
      return kind === 'network' || isUnknown ? [own] : []
    case 'principal': {
      const missing: Part = { part: 'missing', bucket: pools.device, id: MISSING_ID, tag: name }
      if (kind === 'principal') return [own]
      return [...(isUnknown ? [own] : []), ...(limit.onMissing === 'share' ? [missing] : [])]
    }
    case 'global':
      return [{ part: 'global', bucket: pools.device, id: GLOBAL_ID, tag: name }]
  }
}

function deviceParts({ kind, factor }: LookedAt, { pools }: LimitPlan, crowd: CrowdSize): readonly Part[] {
  const parts: Part[] = []
  if (kind !== 'network')
    parts.push({ part: 'own', bucket: kind === 'class' ? pools.classes(crowd.members) : pools.device })
  if (kind === 'network' || kind === null) {
    parts.push({ part: 'newcomers', bucket: pools.newcomers(crowd.members, factor) })
    parts.push({ part: 'members', bucket: pools.members(crowd.halfWeights, factor) })
  }
  return parts
}

/** The debits that give a key's buckets back all that they owe, however large they have grown; what strangers share stays. */
export function emptying(looks: readonly Look[]): readonly Debit[] {
  const ofKey = looks.filter(({ part }) => part !== 'global' && part !== 'missing')
  return ofKey.map(({ debit }) => ({ ...debit, cost: -ALL, group: 0 }))
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
