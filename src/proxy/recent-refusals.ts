import type { Identity, Tier } from '../identity/identity.ts'
import type { Decision } from '../limiter/decision.ts'

/** A request that the limits refused, as it was decided. Pseudonyms only, and nothing that a client wrote. */
export type Refusal = {
  readonly request_id: string
  /** Milliseconds since the epoch. */
  readonly at_ms: number
  readonly route: string
  readonly verdict: Exclude<Decision['verdict'], 'allowed'>
  readonly status: number
  readonly tier: Tier
  readonly key: string
  readonly network: string
  /** Where its buckets lie in a shared store. */
  readonly tag: string
  /** Live members of the network. */
  readonly members: number
  /** The limit that the client was told about. */
  readonly binding: string | null
  readonly wait_ms: number
  readonly limits: readonly { readonly limit: string; readonly outcome: string; readonly wait_ms: number }[]
  readonly path: Decision['path']
  readonly policy: string
}

type Refused = Exclude<Decision, { verdict: 'allowed' }>

export type RecentRefusals = {
  note(
    request: Pick<Refusal, 'request_id' | 'route' | 'status' | 'policy'>,
    identity: Identity,
    decision: Refused,
  ): void
  find(requestId: string): Refusal | null
  /** The last ones, the newest first. */
  latest(count: number): readonly Refusal[]
}

/** How many are kept: a flood pushes the older ones out. */
const KEPT = 1000

/** Keeps the last refusals of the limits, so that a person can ask why. */
export function createRecentRefusals(wallMs: () => number): RecentRefusals {
  const ring: Refusal[] = []
  let next = 0
  const newestFirst = () => [...ring.slice(next), ...ring.slice(0, next)].reverse()
  return {
    note(request, identity, decision) {
      ring[next] = { ...request, at_ms: wallMs(), ...seen(identity), ...said(decision) }
      next = (next + 1) % KEPT
    },
    // A trusted peer may send one id twice: the newest is meant.
    find: (requestId) => newestFirst().find((refusal) => refusal.request_id === requestId) ?? null,
    latest: (count) => newestFirst().slice(0, count),
  }
}

function seen({
  tier,
  id,
  tag,
  network,
  crowds,
}: Identity): Pick<Refusal, 'tier' | 'key' | 'tag' | 'network' | 'members'> {
  return { tier, key: id, tag, network: network.id, members: crowds[0]?.members ?? 0 }
}

function said(decision: Refused): Pick<Refusal, 'verdict' | 'binding' | 'wait_ms' | 'limits' | 'path'> {
  const { verdict, binding, outcomes, path } = decision
  return {
    verdict,
    path,
    binding: 'limit' in decision ? decision.limit.limit.name : (binding?.plan.limit.name ?? null),
    wait_ms: Math.ceil((binding?.waitUs ?? 0) / 1000),
    limits: outcomes.map(({ plan, outcome, waitUs }) => {
      return { limit: plan.limit.name, outcome, wait_ms: Math.ceil(waitUs / 1000) }
    }),
  }
}
