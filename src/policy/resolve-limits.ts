import { burstOf, newcomersOf } from './limit-rates.ts'
import type { PolicyFile } from './schema.ts'
import type { ExemptEntry, Limit, Match, Per } from './types.ts'

type LimitFile = PolicyFile['limits'][number]
type EntryFile = PolicyFile['exempt'][number]

/** A limit with what it leaves out: burst and newcomers from its rate, on_error and lease from the store. */
export function resolveLimit(limit: LimitFile, store: PolicyFile['store']): Limit {
  const burst = burstOf(limit)
  if (burst === undefined) throw new Error(`the limit ${limit.name} has passed the rules without a burst`)
  return {
    name: limit.name,
    // Lists of sources have been refused by the rules.
    per: limit.per as Per,
    rate: limit.rate,
    burst,
    match: resolveMatch(limit.match),
    cost: limit.cost,
    mode: limit.mode,
    headers: limit.headers,
    newcomers: limit.per === 'device' ? resolveNewcomers(limit) : null,
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

function resolveNewcomers(limit: LimitFile): Limit['newcomers'] {
  const { rate, burst } = newcomersOf(limit) ?? {}
  if (rate === undefined || burst === undefined)
    throw new Error(`the limit ${limit.name} has passed the rules without newcomers`)
  return { rate, burst }
}

function resolveMatch(match: LimitFile['match']): Match {
  return {
    paths: listOf(match.path),
    methods: listOf(match.methods),
    hosts: listOf(match.host),
    headers: Object.entries(match.header ?? {}).map(([name, value]) => ({ name, value })),
  }
}

function listOf(value: string | readonly string[] | null): readonly string[] {
  if (value === null) return []
  return typeof value === 'string' ? [value] : value
}
