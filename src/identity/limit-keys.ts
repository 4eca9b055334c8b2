import { decodeJwt, type JWTPayload } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Facts, Refusal } from '../http/facts.ts'
import { effectiveMethods } from '../http/method-override.ts'
import { foldCase, trimSegment } from '../http/path-readings.ts'
import type { Limit, MethodOverride, PathCase, Source } from '../policy/types.ts'
import { cookieReadings } from './cookie-field.ts'
import { bearer } from './credential.ts'
import type { Network } from './identity.ts'
import type { Keyring } from './keyring.ts'
import { tagOf } from './pseudonym.ts'

/** What sources are read from. */
export type KeySubject = {
  readonly facts: Facts
  readonly isPeerTrusted: boolean
  readonly network: Network
  /** What a verified token says; null where there is none. */
  readonly verified: JWTPayload | null
}

/** What a limit with a list of sources is keyed by in one request. */
export type LimitKey = {
  /** Whether the client left a source out. */
  readonly isMissing: boolean
  /** Names the bucket: the pseudonym of all the values and, where one of the sources is `device`, of an id of that. */
  name(deviceId: string): string
  /** Keeps together what lies together. */
  tag(name: string): string
}

/** By the limit's name. */
export type LimitKeys = ReadonlyMap<string, LimitKey>

export type LimitKeysOptions = {
  readonly keyring: Keyring
  /** Whether tokens are verified: then claims are read from verified ones only. */
  readonly areTokensVerified: boolean
  readonly pathCase: PathCase
  readonly methodOverride: MethodOverride
  /** Whether a field (lower case) is believed from a trusted peer only. */
  readonly isPeerField: (name: string) => boolean
}

/** The different values that a request gives for a source; none where it leaves it out. */
type Reader = (subject: KeySubject) => readonly string[]

const NONE: readonly string[] = []
/** A longer token is read no further. */
const MAX_TOKEN_LENGTH = 8192

/**
 * Compiles what limits with a list of sources are keyed by; null where a request meets none of them. Where a source has
 * several values in a request it is refused: one would be counted, and another be believed upstream. Pseudonyms are
 * remembered by the values they were made from, in a memory bounded by bytes.
 */
export function compileLimitKeys(
  limits: readonly Limit[],
  options: LimitKeysOptions,
): (plans: readonly { readonly limit: Limit }[], subject: KeySubject) => LimitKeys | Refusal | null {
  const known = new LRUCache<string, string>({
    maxSize: 4 * 1024 * 1024,
    sizeCalculation: (_, key) => key.length + 200,
  })
  const readers = new Map<string, ReturnType<typeof compileKey>>()
  for (const { name, per } of limits) if (typeof per !== 'string') readers.set(name, compileKey(per, options, known))

  return (plans, subject) => {
    if (readers.size === 0) return null
    let keys: Map<string, LimitKey> | null = null
    for (const { limit } of plans) {
      const read = readers.get(limit.name)
      if (read === undefined) continue
      const key = read(subject)
      if ('status' in key) return key
      keys ??= new Map()
      keys.set(limit.name, key)
    }
    return keys
  }
}

/** How a source is written in the policy. */
export function sourceText(source: Source): string {
  if ('name' in source) return `${source.kind}:${source.name}`
  return 'segment' in source ? `path:${source.segment}` : source.kind
}

function compileKey(sources: readonly Source[], options: LimitKeysOptions, known: LRUCache<string, string>) {
  const { keyring } = options
  const isPerDevice = sources.some(({ kind }) => kind === 'device')
  const isPerNetwork = sources.some(({ kind }) => kind === 'network')
  const texts = sources.map(sourceText)
  // The same values under other sources are another key: a policy may change what a limit of a name is keyed by.
  const start = prefixed(texts.join())
  const parts = sources
    .filter(({ kind }) => kind !== 'device')
    .map((source) => ({ text: sourceText(source), read: compileReader(source, options) }))

  function pseudonym(values: string): string {
    let name = known.get(values)
    if (name === undefined) {
      name = keyring.pseudonym('sources', [values])
      known.set(values, name)
    }
    return name
  }

  return (subject: KeySubject): LimitKey | Refusal => {
    let values = start
    let isMissing = false
    for (const { text, read } of parts) {
      const found = read(subject)
      if (found.length > 1 && found.some((value) => value !== found[0])) {
        return {
          status: 400,
          detail: `${text} has several values, or one that is read in several ways; it may have one only.`,
        }
      }
      // What is left out differs from every value, the empty one included.
      const value = found[0]
      if (value === undefined) isMissing = true
      values += value === undefined ? '-' : prefixed(value)
    }
    const { tag } = subject.network
    return {
      isMissing,
      name: (deviceId) => pseudonym(isPerDevice ? values + prefixed(deviceId) : values),
      tag: (name) => (isPerNetwork ? tag : tagOf(name)),
    }
  }
}

function compileReader(source: Source, options: LimitKeysOptions): Reader {
  switch (source.kind) {
    case 'header': {
      const { name } = source
      const isPeerField = options.isPeerField(name)
      // It can come once only: readFacts refuses the rest.
      return ({ facts: { names, rawHeaders }, isPeerTrusted }) => {
        const at = isPeerField && !isPeerTrusted ? -1 : names.indexOf(name)
        return given(at === -1 ? '' : rawHeaders[2 * at + 1]!)
      }
    }
    case 'cookie': {
      const { name } = source
      return ({ facts: { headers } }) => allGiven(cookieReadings(headers.cookie ?? '', name))
    }
    case 'query': {
      const { name } = source
      return ({ facts: { target } }) =>
        target.query === '' ? NONE : allGiven(new URLSearchParams(target.query).getAll(name))
    }
    case 'path': {
      const { segment } = source
      const fold = options.pathCase === 'insensitive' ? foldCase : (text: string) => text
      // What many an upstream routes without is no part of the key (http/path-readings.ts).
      return ({ facts: { target } }) => given(fold(trimSegment(target.folded.split('/', segment + 1)[segment] ?? '')))
    }
    case 'claim':
      return compileClaim(source.name, options.areTokensVerified)
    case 'host':
      return ({ facts }) => [facts.host]
    case 'method':
      return compileMethod(options.methodOverride)
    case 'network':
      return ({ network }) => [network.id]
    case 'device':
      throw new Error('a device is no value of a request')
  }
}

function compileMethod(override: MethodOverride): Reader {
  // A HEAD asks for what a GET would answer.
  const keyOf = (method: string) => (method === 'HEAD' ? 'GET' : method)
  if (override !== 'match') return ({ facts }) => [keyOf(facts.method)]
  return ({ facts }) => effectiveMethods(facts.method, facts.names, facts.rawHeaders).map(keyOf)
}

/** A claim of a verified token; where no issuer is named, of any token, for nobody here can tell: then its sender chooses it. */
function compileClaim(name: string, areTokensVerified: boolean): Reader {
  const read = (claims: JWTPayload | null) => {
    const value = claims !== null && Object.hasOwn(claims, name) ? claims[name] : undefined
    const isScalar = typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
    return isScalar && value !== '' ? [JSON.stringify(value)] : NONE
  }
  if (areTokensVerified) return ({ verified }) => read(verified)
  const known = new LRUCache<string, readonly string[]>({
    maxSize: 4 * 1024 * 1024,
    sizeCalculation: (_, key) => 2 * key.length + 200,
  })
  return ({ facts: { headers } }) => {
    const token = bearer(headers.authorization ?? '')
    if (token === '' || token.length > MAX_TOKEN_LENGTH) return NONE
    let values = known.get(token)
    if (values === undefined) {
      values = read(claimsOf(token))
      known.set(token, values)
    }
    return values
  }
}

function claimsOf(token: string): JWTPayload | null {
  try {
    return decodeJwt(token)
  } catch {
    return null
  }
}

function given(value: string): readonly string[] {
  return value === '' ? NONE : [value]
}

/** An empty value says nothing; beside another it is one of several. */
function allGiven(values: readonly string[]): readonly string[] {
  return values.every((value) => value === '') ? NONE : values
}

function prefixed(part: string): string {
  return `${part.length}:${part}`
}
