import type { Identity, Tier } from '../identity/identity.ts'
import type { Decision, LimitOutcome } from '../limiter/decision.ts'

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
  readonly limits: readonly {
    readonly limit: string
    readonly outcome: LimitOutcome['outcome']
    readonly wait_ms: number
  }[]
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

/** What is noted with each refusal, for a flood of them must stay cheap; what it comes to is worked out for who asks. */
type Noted = Omit<Refusal, 'verdict' | 'binding' | 'wait_ms' | 'limits' | 'path'> & { readonly decision: Refused }

/** Keeps the last refusals of the limits, so that a person can ask why. */
export function createRecentRefusals(wallMs: () => number): RecentRefusals {
  const ring: Noted[] = []
  let next = 0
  const newestFirst = () => [...ring.slice(next), ...ring.slice(0, next)].reverse()
  return {
    note({ request_id, route, status, policy }, { tier, id, tag, network, crowds }, decision) {
      ring[next] = {
        request_id,
        at_ms: wallMs(),
        route,
        status,
        tier,
        key: id,
        network: network.id,
        tag,
        members: crowds[0]?.members ?? 0,
        policy,
        decision,
      }
      next = (next + 1) % KEPT
    },
    find(requestId) {
      // A trusted peer may send one id twice: the newest is meant.
      const noted = newestFirst().find(({ request_id }) => request_id === requestId)
      return noted === undefined ? null : refusalOf(noted)
    },
    latest: (count) => newestFirst().slice(0, count).map(refusalOf),
  }
}

function refusalOf({ decision, ...noted }: Noted): Refusal {
  const { verdict, binding, outcomes, path } = decision
  return {
    ...noted,
    verdict,
    path,
    binding: 'limit' in decision ? decision.limit.limit.name : (binding?.plan.limit.name ?? null),
    wait_ms: Math.ceil((binding?.waitUs ?? 0) / 1000),
    limits: outcomes.map(({ plan, outcome, waitUs }) => {
      return { limit: plan.limit.name, outcome, wait_ms: Math.ceil(waitUs / 1000) }
    }),
  }
}
