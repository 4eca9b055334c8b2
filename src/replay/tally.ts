import { limitsOf } from '../policy/preflight-limit.ts'
import type { Policy } from '../policy/types.ts'
import { type Clients, createClients } from './clients.ts'
import type { Outcome, Verdict } from './engine.ts'

/** Where a request stands in the log. */
export type Place = { readonly file: string; readonly line: number; readonly timeUs: number }

/** Requests that have something in common, and whose they are. */
export type Group = { requests: number; first: Place | null; readonly clients: Clients }

export type LimitTally = {
  /** Requests that it applied to; of these, those that it would have rejected were it not in shadow, and those that it had tokens for while another limit rejected them. */
  applied: number
  wouldLimit: number
  uncharged: number
  readonly refused: Group
}

/** What became of all requests under one policy. */
export type Tally = {
  readonly outcomes: Record<Outcome, number>
  /** By tier: requests that limits applied to. */
  readonly tiers: Map<string, number>
  /** Limited or denied. */
  readonly refused: Group
  readonly limits: ReadonlyMap<string, LimitTally>
  /** By deny entry, or limit that denies who shows no key. */
  readonly denied: Map<string, number>
}

export function createTally(policy: Policy): Tally {
  return {
    outcomes: { forwarded: 0, exempt: 0, limited: 0, denied: 0, error: 0 },
    tiers: new Map(),
    refused: createGroup(),
    limits: new Map(
      limitsOf(policy).map(({ name }) => [name, { applied: 0, wouldLimit: 0, uncharged: 0, refused: createGroup() }]),
    ),
    denied: new Map(),
  }
}

export function createGroup(): Group {
  return { requests: 0, first: null, clients: createClients() }
}

export function isRefused({ outcome }: Verdict): boolean {
  return outcome === 'limited' || outcome === 'denied'
}

/** Counts what became of a request. */
export function count(tally: Tally, verdict: Verdict, place: Place): void {
  const { outcome, identity, decision, deniedBy } = verdict
  tally.outcomes[outcome]++
  if (identity !== null) increase(tally.tiers, identity.tier)
  if (isRefused(verdict)) addTo(tally.refused, verdict, place)
  if (deniedBy !== null) increase(tally.denied, deniedBy)
  for (const { plan, outcome: said } of decision?.outcomes ?? []) {
    const limit = tally.limits.get(plan.limit.name)!
    limit.applied++
    if (said === 'would_limit') limit.wouldLimit++
    if (said === 'uncharged') limit.uncharged++
    if (said === 'limited') addTo(limit.refused, verdict, place)
  }
}

export function addTo(group: Group, { identity }: Verdict, place: Place): void {
  group.requests++
  group.first ??= place
  // Who is denied by an address or a path has not been told apart.
  if (identity !== null) group.clients.add(identity.id, identity.tier)
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
