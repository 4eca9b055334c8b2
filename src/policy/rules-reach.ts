import { METHODS } from 'node:http'
import { covers } from './covers.ts'
import type { Draft, Report } from './draft.ts'
import { resolveMatch } from './resolve-limits.ts'
import type { PolicyFile } from './schema.ts'
import { show } from './show.ts'
import type { Match, PathCase, Rate } from './types.ts'
import { rateText } from './units.ts'

type List = 'exempt' | 'deny' | 'limits'
type Entry = NonNullable<NonNullable<Draft['exempt']>[number]>

/** What the proxy answers itself, whatever the policy says. */
const NEVER_FORWARDED = ['CONNECT', 'TRACE']

/** What can never have an effect: an entry that an earlier one leaves no request to, and a match that can never hold. */
export function warnAboutReach(draft: Draft, warn: Report): void {
  for (const list of ['exempt', 'deny', 'limits'] as const) warnAboutMatches(draft, list, warn)
  const pathCase = draft.upstream?.path_case
  // Of what could not be read nobody knows what it covers.
  if (pathCase === undefined) return
  for (const [index, entry] of (draft.exempt ?? []).entries()) {
    const match = matchOf(entry?.match)
    if (entry === undefined || match === null) continue
    const taker = takerOf(draft.deny, match, listOf(entry.cidr), pathCase)
    if (taker === undefined) continue
    const by = `deny[${taker.index}], ${show(taker.name)}`
    warn(['exempt', index], `never holds: ${by}, refuses all that it matches; leave this one out, or narrow that one`)
  }
  for (const [index, limit] of (draft.limits ?? []).entries()) {
    const match = matchOf(limit?.match)
    if (match === null) continue
    warnAboutLimit(draft, index, match, pathCase, warn)
    warnAboutLowerLimit(draft, index, match, pathCase, warn)
  }
}

/** A limit per principal above one that counts principals too is never reached: the lower one holds. */
function warnAboutLowerLimit({ limits }: Draft, index: number, match: Match, pathCase: PathCase, warn: Report): void {
  const limit = limits?.[index]
  if (limit?.per !== 'principal' || limit.rate === undefined) return
  for (const other of limits ?? []) {
    if (other?.name === undefined || (other.per !== 'device' && other.per !== 'network') || other.rate === undefined)
      continue
    const own = matchOf(other.match)
    const counts = other.skip_for === null && (other.match?.tier ?? null) === null && other.mode !== 'shadow'
    if (own === null || !counts || !covers(own, match, pathCase) || perSecond(limit.rate) <= perSecond(other.rate))
      continue
    const rates = `${rateText(limit.rate)} is more than the ${rateText(other.rate)} of ${show(other.name)}`
    return void warn(
      ['limits', index, 'rate'],
      `${rates}, which counts principals too; write skip_for: principal there`,
    )
  }
}

function perSecond({ tokens, seconds }: Rate): number {
  return tokens / seconds
}

function warnAboutLimit(
  { deny, exempt, server }: Draft,
  index: number,
  match: Match,
  pathCase: PathCase,
  warn: Report,
): void {
  const fix = 'leave this one out, or narrow that one'
  const denying = takerOf(deny, match, [], pathCase)
  if (denying !== undefined) {
    const by = `deny[${denying.index}], ${show(denying.name)}`
    return void warn(['limits', index], `is never reached: ${by}, refuses all that it matches; ${fix}`)
  }
  // An exemption never holds for another letter case.
  const exempting = takerOf(exempt, match, [], 'sensitive')
  if (exempting === undefined) return
  // An exemption holds for the strict form of a path and for all lines of a field, a limit for any reading of them.
  const { paths, methods, headers } = exempting.match
  const isByOneMethod = methods.length === 0 || server?.method_override !== 'match'
  const isSure = paths.length === 0 && headers.length === 0 && isByOneMethod
  const reach = isSure ? 'is never reached' : 'is reached by odd spellings only'
  const by = `exempt[${exempting.index}], ${show(exempting.name)}`
  warn(['limits', index], `${reach}: ${by}, lets pass all that it matches; ${fix}`)
}

/** The entry that takes every request of such a match, from any of these networks (none stands for all), at any time. */
function takerOf(
  entries: readonly (Entry | undefined)[] | undefined,
  match: Match,
  cidr: readonly (string | undefined)[] | null,
  pathCase: PathCase,
): { readonly index: number; readonly name: string; readonly match: Match } | undefined {
  if (cidr === null) return undefined
  for (const [index, entry] of (entries ?? []).entries()) {
    const own = matchOf(entry?.match)
    if (entry?.name === undefined || own === null || entry.until !== null) continue
    const networks = listOf(entry.cidr)
    const isAnywhere = networks?.length === 0
    const isWide = cidr.length > 0 && cidr.every((network) => network !== undefined && networks?.includes(network))
    if ((isAnywhere || isWide) && covers(own, match, pathCase)) return { index, name: entry.name, match: own }
  }
  return undefined
}

function warnAboutMatches(draft: Draft, list: List, warn: Report): void {
  for (const [index, entry] of (draft[list] ?? []).entries()) {
    const { path, methods, header } = entry?.match ?? {}
    for (const [i, pattern] of (Array.isArray(path) ? path : [path]).entries()) {
      const segments = typeof pattern === 'string' ? pattern.split('/') : []
      const at = segments.indexOf('.*')
      if (at === -1) continue
      const fix = `for any path below write ${show([...segments.slice(0, at), '**'].join('/'))}`
      const message = `${show(pattern)} stands for names that begin with a dot, such as /.env; ${fix}`
      warn([list, index, 'match', 'path', ...(Array.isArray(path) ? [i] : [])], message)
    }
    const written = Array.isArray(methods) ? methods : [methods]
    for (const [i, method] of written.entries()) {
      const wrong = typeof method === 'string' ? whyNever(method) : undefined
      const at = Array.isArray(methods) ? ['methods', i] : ['methods']
      if (wrong !== undefined) warn([list, index, 'match', ...at], wrong)
    }
    for (const [name, value] of Object.entries(header ?? {})) {
      if (typeof value !== 'string') continue
      const inner = withoutOuterSpace(value)
      if (inner === value) continue
      const write = show(inner)
      const message = `${show(value)} begins or ends with a space, which no field does that arrives; write ${write}`
      warn([list, index, 'match', 'header', name], message)
    }
  }
}

/** A header's value without what is no part of it (RFC 9110 section 5.5). */
function withoutOuterSpace(value: string): string {
  const isSpace = (at: number) => value[at] === ' ' || value[at] === '\t'
  let start = 0
  let end = value.length
  while (start < end && isSpace(start)) start++
  while (end > start && isSpace(end - 1)) end--
  return value.slice(start, end)
}

function whyNever(method: string): string | undefined {
  if (NEVER_FORWARDED.includes(method)) return `${method} is answered 405 before any rule; leave it out`
  return METHODS.includes(method) ? undefined : `${show(method)} is a method that is answered 400; leave it out`
}

/** A match as it is used; null where a part of it is wrong. */
function matchOf(match: Entry['match'] | undefined): Match | null {
  return isWhole(match) ? resolveMatch(match as PolicyFile['exempt'][number]['match']) : null
}

function isWhole(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value !== undefined
  return Object.values(value).every(isWhole)
}

/** Null where it is wrong. */
function listOf(value: Entry['cidr']): readonly (string | undefined)[] | null {
  if (value === undefined) return null
  if (value === null) return []
  return typeof value === 'string' ? [value] : value
}
