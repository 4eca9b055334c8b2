import { isDeepStrictEqual } from 'node:util'
import { compileCors } from '../http/cors.ts'
import type { Facts } from '../http/facts.ts'
import { compileFieldRoles, type FieldRoles } from '../http/field-roles.ts'
import { nominatedFields } from '../http/hop-by-hop.ts'
import { METHOD_FIELDS, overridingMethods, strippedFields } from '../http/method-override.ts'
import { type Address, compileCidrs } from '../identity/address.ts'
import { compileClientAddress } from '../identity/client-address.ts'
import { compileIdentify, type Identify, type IdentifyOptions } from '../identity/identify.ts'
import type { Jwks } from '../identity/jwks.ts'
import { createKeyring, type Keyring } from '../identity/keyring.ts'
import { compileLimitKeys } from '../identity/limit-keys.ts'
import { type LimitPlan, planLimit } from '../limiter/plan.ts'
import { compileMatch, isEmptyMatch, type MatchReading } from '../policy/match.ts'
import { preflightLimit } from '../policy/preflight-limit.ts'
import type { DenyEntry, ExemptEntry, IdentityPolicy, Limit, Policy } from '../policy/types.ts'
import { compileDeviceAnswer } from './device-cookie-answer.ts'

/** What the policy says of one request before anybody is counted. */
export type Ruling =
  | { readonly kind: 'deny'; readonly entry: DenyEntry; readonly route: string }
  /** `entry`: null for a preflight. */
  | { readonly kind: 'exempt'; readonly entry: ExemptEntry | null; readonly route: string }
  | { readonly kind: 'limit'; readonly plans: readonly LimitPlan[]; readonly route: string }

/** A policy compiled for use: everything that can be worked out before a request comes. */
export type Rules = ReturnType<typeof compileRules>

/** Route names beyond these share the label `other`, so that a policy of any size has bounded metrics. */
const MAX_ROUTES = 100

export type RulesOptions = IdentifyOptions & {
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number
  /** The processes of this instance; one where left out. */
  readonly workers?: number
}

/** What of a policy's rules is worth keeping: it remembers clients, and is costly to make. */
type Kept = {
  readonly policy: Policy
  readonly identify: Identify
  readonly clientAddress: ReturnType<typeof compileClientAddress>
}

/**
 * Compiles a policy. A reload compiles the new one and swaps it in whole; requests under way keep theirs. `before`: the rules
 * in force, whose knowledge of clients is kept where the policy says the same of identities.
 */
export function compileRules(policy: Policy, options: RulesOptions, before: Kept | null = null) {
  const expectedInstances = policy.store.kind === 'redis' ? policy.store.expectedInstances : 1
  const plan = (limit: Limit) => planLimit(limit, expectedInstances * (options.workers ?? 1))
  const plans = policy.limits.map(plan)
  const forPreflights = preflightLimit(policy)
  const preflightPlans = forPreflights === null ? [] : [plan(forPreflights)]
  const reading = { pathCase: policy.upstream.pathCase, methodOverride: policy.server.methodOverride }
  const deny = compileEntries(policy.deny, 'folded', reading, options.wallMs)
  const exempt = compileEntries(policy.exempt, 'strict', reading, options.wallMs)
  const matchLimits = compileMatch(plans, 'folded', reading)
  const routes = routeNames(policy)
  const kept = before !== null && isDeepStrictEqual(before.policy.identity, policy.identity) ? before : null
  const keyring = createKeyring(policy.identity.secrets)
  const identify = kept?.identify ?? compileIdentify(policy.identity, keyring, options)
  const { trustedProxies, clientAddress } = policy.identity
  const fieldRoles = fieldRolesOf(policy)
  const { deviceCookie } = identify

  function routeOf(name: string | undefined): string {
    if (name === undefined) return 'default'
    return routes.has(name) ? name : 'other'
  }

  /** Whether the upstream may take it for a request of another method: a preflight must be one in either. */
  function isOverridden({ names, rawHeaders }: Facts): boolean {
    return reading.methodOverride === 'match' && overridingMethods(names, rawHeaders).length > 0
  }

  /** Deny beats exempt, exempt beats limits. */
  function rule(facts: Facts, address: Address): Ruling {
    const denied = deny(facts, address)
    if (denied !== undefined) {
      return { kind: 'deny', entry: denied, route: routeOf(isEmptyMatch(denied.match) ? undefined : denied.name) }
    }
    const exempted = exempt(facts, address)
    if (exempted !== undefined) {
      const named = isEmptyMatch(exempted.match) ? undefined : exempted.name
      return { kind: 'exempt', entry: exempted, route: routeOf(named) }
    }
    if (policy.exemptPreflight && isPreflight(facts) && !isOverridden(facts)) {
      if (preflightPlans.length === 0) return { kind: 'exempt', entry: null, route: 'default' }
      return { kind: 'limit', plans: preflightPlans, route: 'default' }
    }
    const matched = matchLimits(facts)
    const named = matched.find((plan) => !isEmptyMatch(plan.match))
    return { kind: 'limit', plans: matched, route: routeOf(named?.limit.name) }
  }

  return {
    policy,
    reading,
    plans,
    /** That of CORS preflights; none where they are exempt altogether, or requests like any other. */
    preflightPlans,
    rule,
    routes: routesOf(policy),
    clientAddress: kept?.clientAddress ?? compileClientAddress(trustedProxies, clientAddress),
    identify,
    limitKeys: compileKeys(policy, keyring, fieldRoles),
    /** Null where devices get no mark. */
    deviceAnswer: deviceCookie && compileDeviceAnswer(deviceCookie, policy.identity.deviceCookie, options.wallMs),
    cors: compileCors(policy.refuse.cors.origins),
    /** What becomes of a request's field, by its name. */
    fieldRoles,
    /** Fields that a client may send once only, so that what is keyed is what is forwarded. */
    singleFields: singleFieldsOf(policy),
  }
}

/** The same rules for a question that is no request: what it shows is neither counted, nor remembered among what requests show. */
export function apart(rules: Rules, jwks: Jwks | null): Rules {
  const { policy } = rules
  const keyring = createKeyring(policy.identity.secrets)
  const identify = compileIdentify(policy.identity, keyring, jwks === null ? {} : { jwks })
  return { ...rules, identify, limitKeys: compileKeys(policy, keyring, rules.fieldRoles) }
}

function compileKeys({ identity, limits, upstream, server }: Policy, keyring: Keyring, fieldRoles: FieldRoles) {
  return compileLimitKeys(limits, {
    keyring,
    areTokensVerified: identity.jwt.length > 0,
    pathCase: upstream.pathCase,
    methodOverride: server.methodOverride,
    isPeerField: (name) => fieldRoles(name).isForwarding,
  })
}

/** Every value that the route label can take under a policy. */
export function routesOf(policy: Policy): readonly string[] {
  return [...routeNames(policy), 'default', 'other']
}

/** The fields (lower case), besides the standard ones, in which a trusted peer alone may speak of the client. */
function peerFieldsOf({ clientAddress, clientCertificate }: IdentityPolicy): readonly string[] {
  const address = clientAddress.kind === 'header' ? [clientAddress.header] : []
  return clientCertificate === null ? address : [...address, clientCertificate.header]
}

function fieldRolesOf(policy: Policy): FieldRoles {
  const { deviceCookie } = policy.identity
  const matched = [...policy.limits, ...policy.exempt, ...policy.deny].flatMap(({ match }) => match.headers)
  const readFields = [...singleFieldsOf(policy), ...matched.map(({ name }) => name)]
  if (deviceCookie.enabled) readFields.push(deviceCookie.tokenHeader)
  const { methodOverride } = policy.server
  if (methodOverride === 'match') readFields.push(...METHOD_FIELDS)
  return compileFieldRoles({
    peerFields: peerFieldsOf(policy.identity),
    readFields,
    strippedFields: strippedFields(methodOverride),
  })
}

function singleFieldsOf({ identity, limits }: Policy): readonly string[] {
  const sources = limits.flatMap(({ per }) => (typeof per === 'string' ? [] : per))
  const keyed = sources.flatMap((source) => (source.kind === 'header' ? [source.name] : []))
  return [...new Set(identity.apiKeys === null ? keyed : [identity.apiKeys.header, ...keyed])]
}

/** The first entry that names the address (or none) and matches the request, and whose time has not passed. */
function compileEntries<Entry extends ExemptEntry>(
  entries: readonly Entry[],
  form: 'strict' | 'folded',
  reading: MatchReading,
  wallMs: () => number,
): (facts: Facts, address: Address) => Entry | undefined {
  if (entries.length === 0) return () => undefined
  const match = compileMatch(entries, form, reading)
  const tests = new Map(entries.map((entry) => [entry, compileCidrs(entry.cidr)]))
  return (facts, address) =>
    match(facts).find(
      (entry) =>
        (entry.cidr.length === 0 || tests.get(entry)!(address)) && (entry.until === null || wallMs() < entry.until),
    )
}

/**
 * What a browser sends before the request proper (Fetch standard): it never has a body or a credential, and names a method. One whose
 * Connection header takes away what makes it a preflight would reach the upstream as another request.
 */
export function isPreflight({ method, headers, hasBody }: Pick<Facts, 'method' | 'headers' | 'hasBody'>): boolean {
  if (method !== 'OPTIONS' || hasBody || headers.authorization !== undefined || headers.cookie !== undefined)
    return false
  const asked = headers['access-control-request-method']
  if (headers.origin === undefined || asked === undefined || !METHOD.test(asked)) return false
  const nominated = nominatedFields(headers.connection)
  return nominated === null || !(nominated.has('origin') || nominated.has('access-control-request-method'))
}

/** RFC 9110 section 9.1: a method is a token. */
const METHOD = /^[!#$%&'*+.^`|~\w-]{1,64}$/

function routeNames({ exempt, deny, limits }: Policy): ReadonlySet<string> {
  const names = [...exempt, ...deny, ...limits].filter(({ match }) => !isEmptyMatch(match)).map(({ name }) => name)
  return new Set([...new Set(names)].slice(0, MAX_ROUTES))
}
