import type { IncomingHttpHeaders } from 'node:http'
import { isRefusal, readFacts } from '../http/facts.ts'
import type { RequestEvidence } from '../identity/identify.ts'
import { sourceText } from '../identity/limit-keys.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import type { Source } from '../policy/types.ts'
import type { Rules } from '../proxy/rules.ts'
import type { NamedKey } from './key-buckets.ts'

/** A limit of which no bucket can be shown for a key, and why. */
export type Untold = { readonly limit: string; readonly why: string }

/** What a look-up was given. */
export type Given = {
  /** The fields that it gives a value of. */
  readonly headers: IncomingHttpHeaders
  readonly hasAddress: boolean
  readonly evidence: RequestEvidence
}

/**
 * The keys under the limits that have a list of sources, as far as a look-up gives all of these, and the limits for which it does
 * not. `keys`: those of the client under the other limits.
 */
export function sourceKeys(
  rules: Rules,
  given: Given,
  keys: readonly NamedKey[],
): { readonly keys: readonly NamedKey[]; readonly untold: readonly Untold[] } {
  const found: NamedKey[] = []
  const untold: Untold[] = []
  for (const plan of rules.plans) {
    const { limit } = plan
    if (typeof limit.per === 'string') continue
    const lacking = limit.per.filter((source) => !isGiven(source, given))
    if (lacking.length > 0) {
      untold.push({ limit: limit.name, why: `it counts by ${sourcesText(lacking)}, which a look-up does not give` })
      continue
    }
    const own = keysUnder(rules, plan, limit.per, given, keys)
    if (typeof own === 'string') untold.push({ limit: limit.name, why: own })
    else found.push(...own)
  }
  return { keys: found, untold }
}

/** Why a single pseudonym tells nothing of the limits that have a list of sources. */
export function untoldOf(plans: readonly LimitPlan[]): readonly Untold[] {
  return plans.flatMap(({ limit }) => {
    if (typeof limit.per === 'string') return []
    const why = `it counts by ${sourcesText(limit.per)}, under keys of its own: look up the client, or what a log line has in keys`
    return [{ limit: limit.name, why }]
  })
}

function keysUnder(
  rules: Rules,
  plan: LimitPlan,
  per: readonly Source[],
  { headers, evidence }: Given,
  keys: readonly NamedKey[],
): readonly NamedKey[] | string {
  const facts = readFacts(headOf(headers), { maxHeaders: 100, maxTargetBytes: 1, singleFields: [] })
  if (isRefusal(facts)) return facts.detail
  const { network, verified } = evidence
  const read = rules.limitKeys([plan], { facts, isPeerTrusted: false, network, verified })
  if (read !== null && 'status' in read) return read.detail
  const { name: limit, onMissing } = plan.limit
  const key = read?.get(limit)
  if (key === undefined) return 'it has no key'
  if (key.isMissing && (onMissing === 'skip' || onMissing === 'deny')) {
    return onMissing === 'deny'
      ? 'it refuses who leaves out what it counts by'
      : 'it does not count who leaves that out'
  }
  if (!per.some(({ kind }) => kind === 'device')) {
    const name = key.name('')
    return [{ key: name, kind: 'sources', network: null, tag: key.tag(name), factor: 1, limit }]
  }
  return keys.map((one) => ({ ...one, key: key.name(one.key), limit }))
}

function isGiven(source: Source, { headers, hasAddress, evidence }: Given): boolean {
  switch (source.kind) {
    case 'header':
      return headers[source.name] !== undefined
    case 'claim':
      return headers.authorization !== undefined
    case 'network':
      return hasAddress
    case 'device':
      return hasAddress || evidence.principal !== null
    default:
      return false
  }
}

function headOf(headers: IncomingHttpHeaders) {
  const rawHeaders = Object.entries(headers).flatMap(([name, value]) => [name, String(value)])
  const version = { httpVersion: '1.0', httpVersionMajor: 1, httpVersionMinor: 0 }
  return { method: 'GET', url: '/', headers, rawHeaders, ...version }
}

function sourcesText(sources: readonly Source[]): string {
  return sources.map(sourceText).join(', ')
}
