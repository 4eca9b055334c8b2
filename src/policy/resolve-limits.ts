import { burstOf, isPerDevice, newcomersOf } from './limit-rates.ts'
import { parseSource } from './pattern.ts'
import type { PolicyFile } from './schema.ts'
import type { ExemptEntry, Limit, Match, Per, TierName } from './types.ts'

type LimitFile = PolicyFile['limits'][number]
type EntryFile = PolicyFile['exempt'][number]

/** A limit with what it leaves out: burst and newcomers from its rate, on_error and lease from the store. */
export function resolveLimit(limit: LimitFile, store: PolicyFile['store']): Limit {
  const burst = burstOf(limit)
  if (burst === undefined) throw new Error(`the limit ${limit.name} has passed the rules without a burst`)
  const per = resolvePer(limit.per)
  return {
    name: limit.name,
    per,
    rate: limit.rate,
    burst,
    tiers: resolveTiers(limit),
    match: resolveMatch(limit.match),
    cost: limit.cost,
    mode: limit.mode,
    headers: limit.headers,
    newcomers: isPerDevice(limit.per) ? resolveNewcomers(limit) : null,
    members: limit.members && { base: limit.members.base, perDevice: limit.members.per_device },
    onMissing: limit.on_missing,
    onError: limit.on_error ?? store.on_error,
    lease: limit.lease ?? store.lease,
  }
}

/** An entry of the exempt or deny list. */
export function resolveEntry(entry: EntryFile): ExemptEntry {
  return {
    name: entry.name,
    cidr: listOf(entry.cidr),
    match: resolveMatch(entry.match),
    until: entry.until,
    reason: entry.reason,
  }
}

/** A list of one that has a word of its own is that word. */
function resolvePer(per: LimitFile['per']): Per {
  if (typeof per === 'string') return per
  const only = per.length === 1 ? per[0] : null
  return only === 'device' || only === 'network' ? only : per.map(parseSource)
}

function resolveNewcomers(limit: LimitFile): Limit['newcomers'] {
  const { rate, burst } = newcomersOf(limit) ?? {}
  if (rate === undefined || burst === undefined)
    throw new Error(`the limit ${limit.name} has passed the rules without newcomers`)
  return { rate, burst }
}

const TIERS: readonly TierName[] = ['anonymous', 'token', 'known', 'principal']

function resolveTiers({ match, skip_for }: LimitFile): Limit['tiers'] {
  if (match.tier === null && skip_for === null) return null
  const counted = match.tier === null ? TIERS : listOf(match.tier)
  const skipped = listOf(skip_for)
  return TIERS.filter((tier) => counted.includes(tier) && !skipped.includes(tier))
}

/** A match, each of its parts as a list. */
export function resolveMatch(match: EntryFile['match']): Match {
  return {
    paths: listOf(match.path),
    methods: isNegated(match.methods) ? [] : listOf(match.methods),
    notMethods: isNegated(match.methods) ? listOf(match.methods.not) : [],
    hosts: listOf(match.host),
    headers: Object.entries(match.header ?? {}).map(([name, value]) => ({ name, value: resolveHeader(value) })),
  }
}

function resolveHeader(value: string): string | null {
  if (value === 'absent') return null
  return value === 'present' ? '*' : value
}

type MethodsFile = EntryFile['match']['methods']

function isNegated(methods: MethodsFile): methods is Extract<MethodsFile, { readonly not: unknown }> {
  return typeof methods === 'object' && methods !== null && 'not' in methods
}

function listOf(value: string | readonly string[] | null): readonly string[] {
  if (value === null) return []
  return typeof value === 'string' ? [value] : value
}
