import { type Facts, isRefusal, readFacts } from '../http/facts.ts'
import { type AddressTrace, traceAddress } from '../identity/client-address.ts'
import type { RequestEvidence } from '../identity/identify.ts'
import type { Identity, Tier } from '../identity/identity.ts'
import type { Jwks } from '../identity/jwks.ts'
import type { Membership } from '../identity/membership.ts'
import type { Roll } from '../identity/roll.ts'
import { remainingTokens, TOKEN } from '../limiter/bucket.ts'
import type { Decision, LimitOutcome } from '../limiter/decision.ts'
import { createLimiter } from '../limiter/limiter.ts'
import { type LimitPlan, plansOfTier } from '../limiter/plan.ts'
import type { Debit, LocalStore } from '../limiter/store.ts'
import { limitsOf, PREFLIGHT } from '../policy/preflight-limit.ts'
import type { ExemptEntry } from '../policy/types.ts'
import { rateFields } from '../proxy/answer-fields.ts'
import { chooseCourse, LOOP, type Surroundings } from '../proxy/choose-course.ts'
import { refusalAnswer } from '../proxy/limited-answer.ts'
import { refusalStatus } from '../proxy/robots.ts'
import { apart, type Rules } from '../proxy/rules.ts'
import { type Look, lookingAt, lookingRoll } from './looking.ts'
import { mismatches } from './mismatch.ts'
import type { Question } from './question.ts'
import { readRequest } from './read-request.ts'

/** One bucket behind a limit. Tokens are whole ones; a reserve is what this client may not take. */
export type ExplainedBucket = {
  /** Whose bucket it is: `own`, its `class`'s, or what its network's `newcomers` or `members` share. */
  readonly pool: string
  readonly key: string
  readonly burst: number
  readonly rate_per_second: number
  readonly reserve: number
  readonly before: number
  readonly after: number
}

export type ExplainedLimit = {
  readonly limit: string
  readonly mode: string
  /** Why the limit does not apply; empty where it does. */
  readonly mismatches: readonly string[]
  /** Null where it does not apply, or was not asked. */
  readonly outcome: LimitOutcome['outcome'] | null
  readonly remaining: number | null
  readonly wait_ms: number | null
  readonly buckets: readonly ExplainedBucket[]
}

/** What would become of a request, and why. Plain data; nothing in it is a raw token, key or User-Agent. */
export type Explanation = {
  readonly policy: string
  readonly request: { readonly method: string; readonly path: string; readonly host: string }
  readonly address: {
    readonly hops: readonly {
      readonly written: string
      readonly address: string | null
      readonly is_trusted: boolean
    }[]
    readonly end: AddressTrace['end']
    readonly client: string
  } | null
  /** What the policy says of it before anybody is counted, and the entry or limit that gives it its name in metrics. */
  readonly ruling: 'malformed' | 'looped' | 'denied' | 'banned' | 'granted' | 'exempt' | 'limited' | 'free'
  readonly entry: string | null
  readonly reason: string | null
  readonly route: string | null
  readonly identity: {
    readonly tier: Tier
    readonly key: string
    readonly pool: Identity['pool']
    readonly network: string
    readonly members: number
    readonly evidence: readonly string[]
  } | null
  readonly limits: readonly ExplainedLimit[]
  readonly verdict: 'forwarded' | Exclude<Decision['verdict'], 'allowed'> | 'denied' | 'looped' | 'malformed'
  readonly status: number | null
  readonly binding: string | null
  readonly wait_ms: number | null
  /** The fields that the limits add to the answer. */
  readonly fields: Readonly<Record<string, string>>
}

export type ExplainOptions = Surroundings & {
  readonly rules: () => Rules
  readonly membership: Pick<Membership, 'copy'>
  readonly local: LocalStore
  /** Charges the shared store itself, past what is leased of it; null where there is none. */
  readonly charge: ((debits: readonly Debit[]) => Promise<readonly number[] | null> | null) | null
  readonly roll: Roll | null
  /** The keys of the issuers of tokens; null where none are fetched. */
  readonly jwks: Jwks | null
}

/**
 * Explains what would become of a request, by the steps that decide one, on looks at the buckets and a copy of what is known of
 * its network: nothing is charged, counted, admitted or remembered.
 */
export function createExplain(options: ExplainOptions): (question: Question) => Promise<Explanation> {
  return async (question) => {
    const rules = apart(options.rules(), options.jwks)
    const { policy } = rules
    const { maxHeaders, maxHeaderBytes } = policy.server
    const request = await readRequest(question, maxHeaderBytes)
    const start = { ...NOTHING, policy: policy.hash, request: shown(question) }
    if (typeof request === 'number') {
      return {
        ...start,
        ...malformed(request, UNPARSED[request] ?? 'The request line or a header field is malformed.'),
      }
    }
    const facts = readFacts(request, {
      maxHeaders,
      maxTargetBytes: maxHeaderBytes / 2,
      singleFields: rules.singleFields,
    })
    if (isRefusal(facts)) return { ...start, ...malformed(facts.status, facts.detail) }

    const { trustedProxies, clientAddress } = policy.identity
    const client = traceAddress(trustedProxies, clientAddress, question.from, facts.headers)
    const course = chooseCourse(options, rules, facts, client, 0)
    const seen: Explanation = {
      ...start,
      request: { method: facts.method, path: facts.target.path, host: facts.host },
      address: addressOf(client),
      route: course.route,
    }
    const statusOf = (status: number | null) => status && refusalStatus(facts, status)
    switch (course.kind) {
      case 'looped':
        return { ...seen, ruling: 'looped', verdict: 'looped', status: LOOP.status, reason: LOOP.detail }
      case 'denied':
        return { ...seen, ...denied('denied', course.entry.name, course.entry.reason, statusOf(course.status)) }
      case 'banned':
        return { ...seen, ...denied('banned', course.order.key, course.order.reason, statusOf(course.status)) }
      case 'exempt':
        return { ...seen, ...exempted(course.entry) }
    }
    const isOfPreflights =
      course.kind === 'limited' && course.judged.plans.some(({ limit }) => limit.name === PREFLIGHT)
    const limits = limitsOf(policy).map((limit) => {
      const isAsked = (limit.name === PREFLIGHT) === isOfPreflights
      const reason = isOfPreflights ? 'the request is a CORS preflight' : 'the request is no CORS preflight'
      return notAsked(limit.name, limit.mode, isAsked ? mismatches(limit.match, facts, rules.reading) : [reason])
    })
    if (course.kind === 'free') return { ...seen, limits }
    if (course.kind === 'granted') {
      return { ...seen, limits, ruling: 'granted', entry: course.order.key, reason: course.order.reason }
    }
    if (course.kind === 'malformed') {
      return { ...seen, limits, ...malformed(refusalStatus(facts, course.problem.status), course.problem.detail) }
    }

    const { clockUs, wallMs, plans, keys } = course.judged
    const { evidence } = course
    const membership = options.membership.copy(evidence.network, options.roll && lookingRoll(options.roll))
    const identity = await membership.stand(evidence, clockUs, wallMs)
    const local = lookingAt((debits) => options.local.charge(debits))
    const shared = options.charge && lookingAt(options.charge)
    const limiter = createLimiter({ local: { ...options.local, charge: local.charge }, shared })
    const decision = await limiter.decide(identity, plans, policy.mode, clockUs, keys)
    const looks = decision.path === 'fallback' || shared === null ? local.looks() : shared.looks()
    return {
      ...seen,
      ruling: 'limited',
      identity: identityOf(identity, evidence, wallMs),
      limits: limits.map((limit) => explainLimit(unlessOfTier(limit, plans, identity.tier), decision, looks, identity)),
      ...verdictOf(decision, rules, facts, wallMs),
    }
  }
}

const UNPARSED: Readonly<Record<number, string>> = {
  414: 'The request target is longer than server.max_header_bytes.',
  431: 'The head is longer than server.max_header_bytes.',
}

const NOTHING: Omit<Explanation, 'policy' | 'request'> = {
  address: null,
  ruling: 'free',
  entry: null,
  reason: null,
  route: null,
  identity: null,
  limits: [],
  verdict: 'forwarded',
  status: null,
  binding: null,
  wait_ms: null,
  fields: {},
}

function malformed(status: number, reason: string): Pick<Explanation, 'ruling' | 'verdict' | 'status' | 'reason'> {
  return { ruling: 'malformed', verdict: 'malformed', status, reason }
}

/** What a deny entry or a ban comes to; in shadow it has no status and lets pass. */
function denied(
  ruling: 'denied' | 'banned',
  entry: string,
  reason: string | null,
  status: number | null,
): Pick<Explanation, 'ruling' | 'entry' | 'reason' | 'verdict' | 'status'> {
  return { ruling, entry, reason, verdict: status === null ? 'forwarded' : 'denied', status }
}

/** A limit that matches, but counts clients of other tiers. */
function unlessOfTier(limit: ExplainedLimit, plans: readonly LimitPlan[], tier: Tier): ExplainedLimit {
  const plan = plans.find(({ limit: { name } }) => name === limit.limit)
  if (plan === undefined || plansOfTier([plan], tier).length > 0) return limit
  return { ...limit, mismatches: [`the client's tier is not ${plan.limit.tiers!.join(' or ')}`] }
}

/** By which entry; by none where it is a preflight. */
function exempted(entry: ExemptEntry | null): Pick<Explanation, 'ruling' | 'entry' | 'reason'> {
  const reason = entry === null ? 'a preflight, by exempt_preflight' : entry.reason
  return { ruling: 'exempt', entry: entry?.name ?? null, reason }
}

function shown({ method, target, fields }: Question): Explanation['request'] {
  const host = fields.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? ''
  return { method, path: target.replace(/\?.*$/s, ''), host }
}

function addressOf({ hops, end, address }: AddressTrace): Explanation['address'] {
  const shownHops = hops.map(({ written, address: read, isTrusted }) => {
    return { written, address: read?.text ?? null, is_trusted: isTrusted }
  })
  return { hops: shownHops, end, client: address.text }
}

function notAsked(limit: string, mode: string, why: readonly string[]): ExplainedLimit {
  return { limit, mode, mismatches: why, outcome: null, remaining: null, wait_ms: null, buckets: [] }
}

function identityOf(identity: Identity, evidence: RequestEvidence, nowMs: number): Explanation['identity'] {
  const { tier, id, pool, network, crowds } = identity
  return {
    tier,
    key: id,
    pool,
    network: network.id,
    members: crowds[0]?.members ?? 0,
    evidence: evidenceOf(evidence, identity, nowMs),
  }
}

/** What it was told by, in sentences. */
function evidenceOf(
  { principal, device, token, isNameless }: RequestEvidence,
  { pool }: Identity,
  nowMs: number,
): string[] {
  const said: string[] = []
  if (principal !== null) {
    said.push(`a ${principal.source.replaceAll('_', ' ')} proves it, enrolment ${principal.enrolment}`)
  }
  if (device !== null) {
    const minutes = Math.max(0, Math.round((nowMs - device.issuedMs) / 60_000))
    const home = device.isHome ? 'given on this network' : 'given on another network'
    said.push(`a device mark of ours (${device.via}), ${minutes} min old, grade ${device.grade}, ${home}`)
  }
  if (token !== null) said.push('a token that is only a claim')
  said.push(isNameless ? 'no User-Agent, no language' : 'User-Agent and languages name a class')
  if (pool === 'members') said.push('it is admitted to its network')
  else if (pool === 'newcomers' && (device ?? token) !== null)
    said.push('it is not admitted to its network, or not yet')
  return said
}

function explainLimit(
  limit: ExplainedLimit,
  decision: Decision,
  looks: readonly Look[],
  { classId }: Identity,
): ExplainedLimit {
  const said = decision.outcomes.find(({ plan }) => plan.limit.name === limit.limit)
  if (said === undefined) return limit
  // Rejected without a look at the buckets, of which then nothing is known.
  if (said.outcome === 'uncharged' && looks.length === 0) return { ...limit, outcome: said.outcome }
  const isCharged = said.outcome === 'allowed'
  return {
    ...limit,
    outcome: said.outcome,
    remaining: said.remaining,
    wait_ms: Math.ceil(said.waitUs / 1000),
    buckets: looks
      .filter(({ debit }) => nameOf(debit).limit === limit.limit && debit.cost > 0)
      .map((look) => explainBucket(look, classId, isCharged)),
  }
}

function explainBucket({ debit, debt }: Look, classId: string, isCharged: boolean): ExplainedBucket {
  const { bucket, id, cost, reserve } = debit
  return {
    pool: id === classId ? 'class' : nameOf(debit).pool,
    key: id,
    burst: bucket.capacity / TOKEN,
    rate_per_second: bucket.tokens / bucket.seconds,
    reserve: Math.max(0, reserve) / TOKEN,
    before: remainingTokens(bucket, debt),
    after: remainingTokens(bucket, isCharged ? debt + cost : debt),
  }
}

/** A bucket is named by its limit, and a shared one by its pool besides. */
function nameOf({ bucket }: Debit): { limit: string; pool: string } {
  const [limit, pool = 'own'] = bucket.name.split('+')
  return { limit: limit!, pool }
}

function verdictOf(
  decision: Decision,
  { policy }: Rules,
  facts: Facts,
  nowMs: number,
): Pick<Explanation, 'verdict' | 'status' | 'binding' | 'wait_ms' | 'fields'> {
  const binding = decision.binding?.plan.limit.name ?? null
  if (decision.verdict === 'allowed') {
    const rate = rateFields(decision, policy.refuse.legacyHeaders, nowMs, null)
    const list = rate === null ? [] : ['RateLimit-Policy', rate.policy, 'RateLimit', rate.limit, ...rate.legacy]
    return { verdict: 'forwarded', status: null, binding, wait_ms: 0, fields: pairs(list) }
  }
  const { problem, fields = [] } = refusalAnswer(decision, policy.refuse, () => 0, nowMs)
  const limit = 'limit' in decision ? decision.limit.limit.name : binding
  const waitMs = decision.binding === null ? null : Math.ceil(decision.binding.waitUs / 1000)
  const status = refusalStatus(facts, problem.status)
  return { verdict: decision.verdict, status, binding: limit, wait_ms: waitMs, fields: pairs(fields) }
}

function pairs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1]!]] : [])))
}
