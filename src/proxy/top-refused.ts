import type { Identity, Tier } from '../identity/identity.ts'

/** A key that was refused often. */
export type Refused = {
  readonly key: string
  readonly tier: Tier
  /** Where its buckets lie in a shared store. */
  readonly tag: string
  /** The pseudonym of the network that it was refused on last, and how many it was refused on; `MAX_NETWORKS` stands for more too. */
  readonly network: string
  readonly networks: number
  /** How often; too high by `error` at most. */
  readonly count: number
  readonly error: number
}

export type TopRefused = {
  note(identity: Identity, nowMs: number): void
  /** The keys most often refused since `sinceMs` (milliseconds since the epoch), the most refused first. */
  list(nowMs: number): { readonly sinceMs: number; readonly refused: readonly Refused[] }
  find(key: string): Refused | null
}

export const MAX_NETWORKS = 32
/** Counters: what is refused more often than one time in so many has one. */
const COUNTERS = 256
/** Milliseconds after which counting begins anew; the counts before are kept for as long again. */
const SPAN = 600_000

type Counter = { -readonly [Key in keyof Omit<Refused, 'networks'>]: Refused[Key] } & { readonly seen: Set<string> }

/** No counter is below `least`: counts only grow. */
type Count = { readonly sinceMs: number; readonly counters: Map<string, Counter>; least: number }

/**
 * Counts the keys most often refused, in bounded memory, by the Space-Saving algorithm (Metwally, Agrawal, El Abbadi, 2005): a
 * key without a counter takes over the least one with its count. A flood of keys costs a look at the first few counters each.
 */
export function createTopRefused(nowMs: number): TopRefused {
  let count: Count = { sinceMs: nowMs, counters: new Map(), least: 0 }
  let before: Count | null = null

  function turn(nowMs: number): void {
    if (nowMs - count.sinceMs < SPAN) return
    before = nowMs - count.sinceMs < 2 * SPAN ? count : null
    count = { sinceMs: nowMs, counters: new Map(), least: 0 }
  }

  function find(key: string): Refused | null {
    const now = count.counters.get(key)
    const then = before?.counters.get(key)
    const last = now ?? then
    if (last === undefined) return null
    const networks =
      now === undefined || then === undefined ? last.seen.size : new Set([...now.seen, ...then.seen]).size
    return {
      key,
      tier: last.tier,
      tag: last.tag,
      network: last.network,
      networks: Math.min(MAX_NETWORKS, networks),
      count: (now?.count ?? 0) + (then?.count ?? 0),
      error: (now?.error ?? 0) + (then?.error ?? 0),
    }
  }

  return {
    note({ id, tier, tag, network }, nowMs) {
      turn(nowMs)
      const { counters } = count
      const counter = counters.get(id) ?? takeCounter(count, id)
      counter.count++
      counter.tier = tier
      counter.tag = tag
      counter.network = network.id
      if (counter.seen.size < MAX_NETWORKS) counter.seen.add(network.id)
    },
    list(nowMs) {
      turn(nowMs)
      const keys = new Set([...count.counters.keys(), ...(before?.counters.keys() ?? [])])
      const refused = [...keys].map((key) => find(key)!).sort((a, b) => b.count - a.count)
      return { sinceMs: before?.sinceMs ?? count.sinceMs, refused }
    },
    find,
  }
}

function takeCounter(count: Count, key: string): Counter {
  const { counters } = count
  let least: Counter | null = null
  if (counters.size >= COUNTERS) {
    for (const counter of counters.values()) {
      if (least === null || counter.count < least.count) least = counter
      // In a flood of keys nearly all have the least, and the first will do.
      if (least.count === count.least) break
    }
    count.least = least!.count
    counters.delete(least!.key)
  }
  const taken = least?.count ?? 0
  const counter: Counter = { key, tier: 'class', tag: '', network: '', count: taken, error: taken, seen: new Set() }
  counters.set(key, counter)
  return counter
}
