import { isDeepStrictEqual } from 'node:util'
import { isHopByHop } from '../http/hop-by-hop.ts'
import { strippedFields } from '../http/method-override.ts'
import type { Draft, LimitDraft, Report } from './draft.ts'
import { expandPattern } from './path-pattern.ts'
import { parseSource } from './pattern.ts'
import { show } from './show.ts'
import type { Source } from './types.ts'

/** What must hold of limits that are keyed by a list of sources. `report` takes paths below the limit. */
export function checkSources(limit: LimitDraft, draft: Draft, report: Report): void {
  const { per } = limit
  // What is wrong in the list is a problem of its own.
  if (!Array.isArray(per) || per.some((text) => text === undefined)) return
  const texts = per as readonly string[]
  const sources = texts.map(parseSource)
  for (const [index, text] of texts.entries()) {
    const at: Report = (path, message) => report(['per', index, ...path], message)
    if (texts.indexOf(text) < index) at([], `${show(text)} stands in the list twice; keep one of them`)
    checkHeader(sources[index]!, text, draft, at)
  }
  checkOnMissing(limit, texts, sources, report)
  checkEnclosed(limit, texts, sources, draft, report)
}

/** Fields that the upstream does not get as the client wrote them. */
const REWRITTEN: Readonly<Record<string, string>> = {
  host: 'host',
  cookie: 'cookie:<name>',
  'x-forwarded-for': 'network',
  forwarded: 'network',
  'x-real-ip': 'network',
}
const REPLACED = new Set(['via', 'expect', 'x-request-id', 'x-forwarded-proto', 'x-forwarded-host', 'content-length'])

function checkHeader(source: Source, text: string, draft: Draft, report: Report): void {
  if (source.kind !== 'header') return
  const { name } = source
  const isMark = name === draft.identity?.device_cookie?.token_header
  const instead = isMark ? 'device' : REWRITTEN[name]
  if (instead !== undefined) report([], `${show(text)} is not a field to tell clients apart by; write ${instead}`)
  else if (
    isHopByHop(name) ||
    REPLACED.has(name) ||
    strippedFields(draft.server?.method_override ?? 'strip').includes(name)
  ) {
    report([], `${show(text)} does not reach the upstream as the client wrote it; write another field`)
  }
}

function checkOnMissing(limit: LimitDraft, texts: readonly string[], sources: readonly Source[], report: Report): void {
  const optional = texts.filter((_, index) => canBeMissing(sources[index]!, limit.match))
  if (optional.length > 0 && limit.on_missing === null) {
    report(['on_missing'], `is missing, and a client may leave ${optional[0]} out; write skip, share or deny`)
  }
  if (optional.length === 0 && limit.on_missing) {
    report(['on_missing'], 'is for sources that a client may leave out, and here is none; leave it out')
  }
}

function canBeMissing(source: Source, match: LimitDraft['match']): boolean {
  if ('name' in source) return true
  if (!('segment' in source) || match === undefined) return 'segment' in source
  const paths = listOf(match.path)
  // What does not match has no key.
  const patterns = paths.flatMap((path) => expandPattern(path ?? ''))
  return patterns.length === 0 || patterns.some((pattern) => !isAsDeep(pattern, source.segment))
}

function isAsDeep(pattern: string, segment: number): boolean {
  return pattern.split('/').filter((one) => one !== '' && one !== '**').length >= segment
}

/**
 * A client that chooses what it is counted by has as many buckets as it likes: something that it does not choose must hold it.
 * Methods are few and listed hosts are, so they neither give it any nor hold it.
 */
function checkEnclosed(
  limit: LimitDraft,
  texts: readonly string[],
  sources: readonly Source[],
  draft: Draft,
  report: Report,
): void {
  // Of what could not be read nobody knows what it encloses.
  if (draft.limits === undefined || draft.limits.some((other) => isBroken(other?.match))) return
  if (sources.some((source) => holds(source, draft))) return
  const chosen = texts.filter((_, index) => isChosen(sources[index]!, limit.match))
  if (chosen.length === 0) return
  if (draft.limits.some((other) => other !== limit && encloses(other!, limit.match))) return
  const write =
    'write a limit with per: device or network, mode: enforce and the same match or none, or device or network into the list'
  report(['per'], `a client chooses ${chosen.join(', ')}, and so has as many buckets as it likes; ${write}`)
}

/** Whether a client cannot have as many values of it as it likes. Anybody can have accounts where enrolment is open. */
function holds({ kind }: Source, { identity }: Draft): boolean {
  if (kind === 'device' || kind === 'network') return true
  const issuers = identity?.jwt
  return kind === 'claim' && issuers !== undefined && issuers.length > 0
    ? issuers.every((issuer) => issuer?.enrolment !== 'open')
    : false
}

function isChosen({ kind }: Source, match: LimitDraft['match']): boolean {
  if (kind === 'method') return false
  if (kind !== 'host') return true
  const hosts = listOf(match?.host ?? null)
  return hosts.length === 0 || hosts.some((host) => host?.startsWith('*.'))
}

/** Whether a limit holds every request that another's match lets in, by what the client does not choose. */
function encloses(limit: LimitDraft, match: LimitDraft['match']): boolean {
  const [only, second] = Array.isArray(limit.per) ? limit.per : [limit.per]
  if ((only !== 'device' && only !== 'network') || second !== undefined || limit.mode !== 'enforce') return false
  return isEmpty(limit.match) || isDeepStrictEqual(limit.match, match)
}

function isBroken(match: LimitDraft['match']): boolean {
  return match === undefined || Object.values(match).includes(undefined)
}

function isEmpty(match: LimitDraft['match']): boolean {
  return Object.values(match ?? {}).every((part) => part === null)
}

function listOf(value: string | readonly (string | undefined)[] | null | undefined): readonly (string | undefined)[] {
  if (value === null || value === undefined) return []
  return typeof value === 'string' ? [value] : value
}
