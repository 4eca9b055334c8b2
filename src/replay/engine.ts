import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { isRefusal, type RequestHead, readFacts } from '../http/facts.ts'
import { type Address, parseAddress } from '../identity/address.ts'
import { compileClientAddress } from '../identity/client-address.ts'
import { noteConduct } from '../identity/conduct.ts'
import type { Evidence } from '../identity/evidence.ts'
import type { Identity, Network } from '../identity/identity.ts'
import { createKeyring } from '../identity/keyring.ts'
import type { LimitKeys } from '../identity/limit-keys.ts'
import { createMembership } from '../identity/membership.ts'
import { tagOf } from '../identity/pseudonym.ts'
import type { Decision } from '../limiter/decision.ts'
import { createLimiter } from '../limiter/limiter.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import type { Limit, Policy, Source } from '../policy/types.ts'
import { compileRules } from '../proxy/rules.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { readEvidence, readKeys } from './evidence.ts'
import type { LoggedRequest, OwnRequest } from './line.ts'

/** What would have become of a request; `error`: answered as malformed, whatever the limits. */
export type Outcome = 'forwarded' | 'exempt' | 'limited' | 'denied' | 'error'

export type Verdict = {
  readonly outcome: Outcome
  readonly identity: Identity | null
  readonly decision: Decision | null
  /** The deny entry that refused. */
  readonly deniedBy: string | null
}

export type Engine = {
  /** Decides a request of another proxy's log at the clock's instant. `wallMs`: milliseconds since the epoch. */
  judge(request: LoggedRequest, wallMs: number): Verdict
  /** Decides a request of our own log again, on what it was decided on. */
  judgeOwn(request: OwnRequest, wallMs: number): Verdict
  /** Begins anew, with nothing in memory, as a process does. */
  restart(): void
  /** By limit: requests that it was left out for, since the log does not tell of credentials. */
  readonly untold: ReadonlyMap<string, number>
  /** Requests of our own log that the policy might limit, and of which nothing is known since no limit applied to them. */
  unidentified(): number
  /** Requests whose client is a name in the log, not an address. */
  named(): number
}

/** Stands for the address of a client that the log does not tell; as a peer it is one that is believed. */
const NOBODY = '0.0.0.0'
const NO_ADDRESS: Address = { text: NOBODY, family: 'ipv4' }
/** Names of clients that are remembered. */
const NAMES = 20_000
const FORWARDED = { outcome: 'forwarded', identity: null, decision: null, deniedBy: null } as const
const EXEMPT = { ...FORWARDED, outcome: 'exempt' } as const
const ERROR = { ...FORWARDED, outcome: 'error' } as const

/**
 * The proxy's own steps (proxy/server.ts) on a log's requests and a log's clock: the same rules, identities, membership, limiter
 * and store. A second composition root: limits are always kept in process.
 */
export function createEngine(policy: Policy, clock: Clock): Engine {
  let wall = 0
  const rules = compileRules(policy, { wallMs: () => wall })
  const byName = new Map([...rules.plans, ...rules.preflightPlans].map((plan) => [plan.limit.name, plan]))
  const needFields = rules.plans.filter(({ match }) => match.headers.length > 0)
  const clientOf = compileClient(policy)
  const untold = new Map<string, number>()
  const networkOfName = compileNames(policy)
  let unidentified = 0
  let named = 0
  let { membership, limiter } = begin()

  function begin() {
    const local = createMemoryStore({ maxBuckets: policy.store.maxBuckets, clock })
    return {
      membership: createMembership({ policy: policy.identity.admission }),
      limiter: createLimiter({ local, shared: null }),
    }
  }

  function decide(evidence: Evidence, plans: readonly LimitPlan[], keys: LimitKeys | null): Verdict {
    const nowUs = clock.nowUs()
    const identity = membership.stand(evidence, nowUs, wall)
    const decision = limiter.decide(identity, plans, policy.mode, nowUs, keys) as Decision
    if (identity.conduct !== null) noteConduct(identity.conduct, decision.verdict === 'limited', nowUs)
    const { verdict } = decision
    const outcome = verdict === 'limited' ? 'limited' : verdict === 'missing' ? 'denied' : 'forwarded'
    return { outcome, identity, decision, deniedBy: verdict === 'missing' ? decision.limit.limit.name : null }
  }

  function judge(request: LoggedRequest, wallMs: number): Verdict {
    wall = wallMs
    const { server } = policy
    const facts = readFacts(headOf(request), {
      maxHeaders: server.maxHeaders,
      maxTargetBytes: server.maxHeaderBytes / 2,
      singleFields: rules.singleFields,
    })
    if (isRefusal(facts)) return ERROR
    const client = clientOf(request)
    if (typeof client === 'string') named++
    const address = typeof client === 'string' ? NO_ADDRESS : client
    const ruling = rules.rule(facts, address)
    if (ruling.kind === 'exempt') return EXEMPT
    if (ruling.kind === 'deny') return denial(ruling.entry.name)
    if (ruling.plans.length === 0) return FORWARDED
    const network = typeof client === 'string' ? networkOfName(client) : rules.identify.network(client)
    const evidence = rules.identify.evidence(network, facts.headers, false, wallMs)
    const plans = ruling.plans.filter(({ limit }) => isTold(limit, request, evidence))
    if (plans.length === 0) return FORWARDED
    const keys = rules.limitKeys(plans, { facts, isPeerTrusted: false, network, verified: evidence.verified })
    return keys !== null && 'status' in keys ? ERROR : decide(evidence, plans, keys)
  }

  /** To take everybody for someone who left out what the log does not tell would share one bucket among them, or refuse them all. */
  function isTold(limit: Limit, request: LoggedRequest, { principal }: Evidence): boolean {
    const { per } = limit
    const isKnown =
      typeof per === 'string'
        ? per !== 'principal' || request.hasCredentials || principal !== null
        : per.every((source) => tells(request, source))
    if (!isKnown) untold.set(limit.name, (untold.get(limit.name) ?? 0) + 1)
    return isKnown
  }

  function judgeOwn(request: OwnRequest, wallMs: number): Verdict {
    wall = wallMs
    const { evidence, deniedBy, path } = request
    // An operator's, which is no part of a policy.
    if (deniedBy === 'ban') return denial(deniedBy)
    if (path !== null && request.policy !== policy.hash && request.outcome !== 'error') return judgeAnew(request, path)
    if (deniedBy !== null && evidence === null) {
      return policy.deny.some(({ name }) => name === deniedBy) ? denial(deniedBy) : FORWARDED
    }
    if (request.outcome === 'exempt') return EXEMPT
    if (evidence === null) return request.outcome === 'error' ? ERROR : FORWARDED
    return decideOwn(
      request,
      evidence.limits.map((name) => byName.get(name)),
    )
  }

  /** Under another policy, whose matches look at the path that the line bears; header fields it does not, so their word stands. */
  function judgeAnew(request: OwnRequest, path: string): Verdict {
    const { method, host, evidence } = request
    const target = { method, target: path, host: host === '' ? null : host, fields: [] }
    const facts = readFacts(headOf(target), { maxHeaders: 100, maxTargetBytes: path.length, singleFields: [] })
    if (isRefusal(facts)) return ERROR
    const ruling = rules.rule(facts, NO_ADDRESS)
    if (ruling.kind === 'exempt') return EXEMPT
    if (ruling.kind === 'deny') return denial(ruling.entry.name)
    const named = needFields.filter(({ limit }) => evidence?.limits.includes(limit.name))
    const plans = [...ruling.plans, ...named.filter((plan) => !ruling.plans.includes(plan))]
    if (evidence === null && plans.length > 0) unidentified++
    return evidence === null ? FORWARDED : decideOwn(request, plans)
  }

  function decideOwn({ evidence }: OwnRequest, found: readonly (LimitPlan | undefined)[]): Verdict {
    const plans = found.filter((plan) => plan !== undefined)
    if (plans.length === 0) return FORWARDED
    const shown = readEvidence(evidence!, policy.identity, wall)
    return decide(shown, plans, readKeys(evidence!, plans, shown.network))
  }

  function denial(name: string): Verdict {
    return policy.mode === 'shadow' ? FORWARDED : { ...FORWARDED, outcome: 'denied', deniedBy: name }
  }

  return {
    judge,
    judgeOwn,
    restart() {
      ;({ membership, limiter } = begin())
    },
    untold,
    unidentified: () => unidentified,
    named: () => named,
  }
}

/**
 * Whom a line is of: the address that it gives for the client or, where that is a proxy that the policy trusts, what that was told
 * by X-Forwarded-For; where the log gives no address, the field alone. A text where the log gives a host name, of which no policy says
 * whether it is trusted.
 */
function compileClient({ identity }: Policy): (request: LoggedRequest) => Address | string {
  const trusted = [...identity.trustedProxies, `${NOBODY}/32`]
  const client = compileClientAddress(trusted, { kind: 'x-forwarded-for' })
  return ({ address, forwardedFor }) => {
    // A list is what Traefik was told; a client of Envoy is told by the field alone.
    if (address?.includes(',')) return client(NOBODY, { 'x-forwarded-for': address }).address
    // A copy: a part of a line, remembered with its network, would keep its whole chunk in memory.
    const text = address === null ? null : Buffer.from(address, 'latin1').toString('latin1')
    const own = text === null ? null : parseAddress(text)
    if (text !== null && own === null) return text.toLowerCase()
    if (forwardedFor === null) return own ?? NO_ADDRESS
    return client(own?.text ?? NOBODY, { 'x-forwarded-for': forwardedFor }).address
  }
}

/** The network of a client that the log gives a name for: one of its own for each name. */
function compileNames({ identity }: Policy): (name: string) => Network {
  const keyring = createKeyring(identity.secrets)
  const known = new LRUCache<string, Network>({ max: NAMES })
  const { maxDevices } = identity.admission
  return (name) => {
    let network = known.get(name)
    if (network === undefined) {
      const id = keyring.pseudonym('network', ['name', name])
      network = { id, tag: tagOf(id), address: NOBODY, parents: [], maxDevices }
      known.set(name, network)
    }
    return network
  }
}

/** Whether the log tells what a source says, also that it was left out. */
function tells(request: LoggedRequest, source: Source): boolean {
  switch (source.kind) {
    case 'header':
      return request.hasAllFields || request.fields.includes(source.name)
    case 'cookie':
    case 'claim':
      return request.hasCredentials
    case 'host':
      return request.host !== null
    default:
      return true
  }
}

type Head = Pick<LoggedRequest, 'method' | 'target' | 'host' | 'fields'>

/** A request as node would have parsed it: over HTTP/1.1 where the log tells of a host, else over 1.0, which needs none. */
function headOf({ method, target, host, fields }: Head): RequestHead {
  const headers: IncomingHttpHeaders = Object.create(null)
  const rawHeaders = host === null ? [...fields] : [...fields.filter((_, i) => !isHost(fields, i)), 'host', host]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const before = headers[name]
    const value = rawHeaders[i + 1]!
    headers[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  const minor = host === null ? 0 : 1
  return {
    method,
    url: target,
    headers,
    rawHeaders,
    httpVersion: `1.${minor}`,
    httpVersionMajor: 1,
    httpVersionMinor: minor,
  }
}

/** Whether this name or value is the Host field's. */
function isHost(fields: readonly string[], i: number): boolean {
  return fields[i - (i % 2)] === 'host'
}
