import type { Facts, Refusal } from '../http/facts.ts'
import type { ClientAddress } from '../identity/client-address.ts'
import type { RequestEvidence } from '../identity/identify.ts'
import type { DenyEntry, ExemptEntry } from '../policy/types.ts'
import type { Judged } from './evidence-fields.ts'
import { BAN, type Order, type Orders } from './orders.ts'
import type { Rules } from './rules.ts'

/** What decides over a request beside the policy; made once. */
export type Surroundings = {
  /** The name this instance bears in Via; null where nothing has been forwarded by it. */
  readonly via: string | null
  readonly orders: Pick<Orders, 'size' | 'find'>
  readonly nowUs: () => number
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number
}

/** What a loop comes to. */
export const LOOP = { status: 508, detail: 'The request has come through this proxy before.' }

/**
 * What becomes of a request before anybody is counted. `looped`: it has been here before. `exempt`: by the entry, or
 * by none, a preflight. `denied`, `banned`: by the entry, by the operator; `status` is null where the policy is in shadow and lets it pass. `granted`: an operator's grant has no limit
 * count it. `free`: no limit applies. `malformed`: whom a limit counts cannot be told. `limited`: the limits decide.
 */
export type Course =
  | ({ readonly kind: 'looped' } & Common)
  | ({ readonly kind: 'exempt'; readonly entry: ExemptEntry | null } & Common)
  | ({ readonly kind: 'free' } & Common)
  | ({ readonly kind: 'denied'; readonly entry: DenyEntry; readonly status: number | null } & Common)
  | ({ readonly kind: 'banned'; readonly order: Order; readonly status: number | null } & Common)
  | ({ readonly kind: 'granted'; readonly order: Order } & Common)
  | ({ readonly kind: 'malformed'; readonly evidence: RequestEvidence; readonly problem: Refusal } & Common)
  | ({ readonly kind: 'limited'; readonly evidence: RequestEvidence; readonly judged: Judged } & Common)

type Common = {
  readonly route: string
  readonly status: number | null
  readonly entry: ExemptEntry | null
  readonly order: Order | null
  readonly evidence: RequestEvidence | null
  readonly judged: Judged | null
  readonly problem: Refusal | null
}

/**
 * The steps from the facts of a request to the limits that count it, in the one order that the proxy takes and explain tells:
 * a loop, deny, ban, exempt, grant, limits and what they are keyed by. Charges and remembers nothing. `number`: which of the
 * process's decisions it would be.
 */
export function chooseCourse(
  { via, orders, nowUs, wallMs }: Surroundings,
  rules: Rules,
  facts: Facts,
  client: ClientAddress,
  number: number,
): Course {
  if (via !== null && facts.headers.via?.includes(via)) return plain('looped', 'default')
  const ruling = rules.rule(facts, client.address)
  const { route } = ruling
  const isEnforced = rules.policy.mode === 'enforce'
  if (ruling.kind === 'deny') {
    const { entry } = ruling
    return course('denied', route, isEnforced ? entry.status : null, entry, null, null, null, null)
  }
  const { identify } = rules
  const { isPeerTrusted } = client
  const { headers } = facts
  let shown: RequestEvidence | null = null
  if (orders.size() > 0) {
    const lookMs = wallMs()
    shown = identify.evidence(identify.network(client.address), headers, isPeerTrusted, lookMs)
    const order = orders.find(shown, lookMs)
    if (order?.kind === 'ban') {
      return course('banned', route, isEnforced ? BAN.status : null, null, order, null, null, null)
    }
    if (order !== null && ruling.kind === 'limit') return course('granted', route, null, null, order, null, null, null)
  }
  if (ruling.kind === 'exempt') return course('exempt', route, null, ruling.entry, null, null, null, null)
  const { plans } = ruling
  if (plans.length === 0) return plain('free', route)

  const network = identify.network(client.address)
  const clockUs = nowUs()
  const nowMs = wallMs()
  const evidence = shown ?? identify.evidence(network, headers, isPeerTrusted, nowMs)
  const keys = rules.limitKeys(plans, { facts, isPeerTrusted, network, verified: evidence.verified })
  if (keys !== null && 'status' in keys) return course('malformed', route, null, null, null, evidence, null, keys)
  const judged = { number, clockUs, wallMs: nowMs, evidence, plans, keys }
  return course('limited', route, null, null, null, evidence, judged, null)
}

function plain(kind: 'looped' | 'free', route: string): Course {
  return course(kind, route, null, null, null, null, null, null)
}

/** All of one shape, since each request makes one. */
function course(
  kind: Course['kind'],
  route: string,
  status: number | null,
  entry: ExemptEntry | null,
  order: Order | null,
  evidence: RequestEvidence | null,
  judged: Judged | null,
  problem: Refusal | null,
): Course {
  return { kind, route, status, entry, order, evidence, judged, problem } as Course
}
