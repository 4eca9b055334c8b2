import type { KeyObject } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose'
import { LRUCache } from 'lru-cache'
import type { JwtAlgorithm, JwtPolicy } from '../policy/types.ts'
import type { Principal } from './evidence.ts'
import { importJwks, type JwkKeys, verifySignature } from './jwk-keys.ts'
import type { Jwks } from './jwks.ts'
import type { Keyring } from './keyring.ts'
import { tagOf } from './pseudonym.ts'

/** Why a token is only a claim; the closed list of a metric's label. */
export const TOKEN_PROBLEMS = [
  'long',
  'malformed',
  'issuer',
  'audience',
  'algorithm',
  'expired',
  'early',
  'key',
  'signature',
  'claims',
] as const
export type TokenProblem = (typeof TOKEN_PROBLEMS)[number]

/** A token whose signature, issuer, audience and times hold. */
export type VerifiedToken = { readonly principal: Principal; readonly claims: JWTPayload }

export type JwtOptions = {
  readonly keyring: Keyring
  /** Gives the keys of issuers that have an address for them; null where nobody fetches. */
  readonly jwks: Jwks | null
  readonly onProblem: (problem: TokenProblem) => void
}

type Known = VerifiedToken & {
  readonly expiresMs: number
  readonly issuer: Issuer
  readonly keys: JwkKeys
}

type Issuer = {
  readonly policy: JwtPolicy
  keys(): JwkKeys | null
  miss(): void
}

/** A longer token is read no further. */
const MAX_LENGTH = 8192
/** How far clocks may be apart. */
const SKEW = 60_000
/** For so long a token is known to be bad. */
const BAD_LIFE = 60_000

/**
 * Compiles how a token (JWS compact serialization, RFC 7519) is verified, synchronously. Whatever is wrong with one, it is
 * no error: it is a claim like any other text, and counted. Text that is no JWT at all is not even that.
 */
export function compileJwt(
  policies: readonly JwtPolicy[],
  options: JwtOptions,
): (token: string, wallMs: number) => VerifiedToken | null {
  const issuers = policies.map((policy) => createIssuer(policy, options.jwks))
  // By the text itself: a hash of it would have to be made for each request. It stays within the process.
  const verified = new LRUCache<string, Known>({
    maxSize: 16 * 1024 * 1024,
    sizeCalculation: (_, key) => 3 * key.length,
  })
  const bad = new LRUCache<string, { readonly problem: TokenProblem; readonly untilMs: number }>({
    maxSize: 4 * 1024 * 1024,
    sizeCalculation: (_, key) => key.length + 100,
  })

  function recall(token: string, wallMs: number): VerifiedToken | TokenProblem | null {
    const known = verified.get(token)
    if (known !== undefined) {
      if (wallMs >= known.expiresMs) return 'expired'
      // Keys that are withdrawn take their tokens with them.
      if (known.issuer.keys() === known.keys) return known
      verified.delete(token)
    }
    const found = bad.get(token)
    return found !== undefined && wallMs < found.untilMs ? found.problem : null
  }

  function judge(token: string, wallMs: number): VerifiedToken | TokenProblem {
    const result = verify(token, wallMs, issuers)
    if (typeof result === 'string') {
      // Keys may come and time passes; the rest stays as bad as it is.
      if (result !== 'key' && result !== 'early') bad.set(token, { problem: result, untilMs: wallMs + BAD_LIFE })
      return result
    }
    const { issuer, claims, keys } = result
    const parts = principalParts(claims, issuer.policy.principal)
    if (parts === null) return 'claims'
    const id = options.keyring.pseudonym('principal', ['jwt', ...parts])
    const principal = { id, tag: tagOf(id), source: 'jwt', enrolment: issuer.policy.enrolment } as const
    const known = { principal, claims, expiresMs: claims.exp! * 1000 + SKEW, issuer, keys }
    verified.set(token, known)
    return known
  }

  return (token, wallMs) => {
    if (issuers.length === 0) return null
    const parts = token.length > MAX_LENGTH ? null : token.split('.', 4)
    if (parts !== null && parts.length !== 3) return null
    const result = parts === null ? 'long' : (recall(token, wallMs) ?? judge(token, wallMs))
    if (typeof result !== 'string') return result
    options.onProblem(result)
    return null
  }
}

function createIssuer(policy: JwtPolicy, jwks: Jwks | null): Issuer {
  if ('set' in policy.keys) {
    const keys = importJwks(policy.keys.set)
    return { policy, keys: () => keys, miss() {} }
  }
  const { url } = policy.keys
  return { policy, keys: () => jwks?.keys(url) ?? null, miss: () => jwks?.miss(url) }
}

type Verified = { readonly issuer: Issuer; readonly claims: JWTPayload; readonly keys: JwkKeys }

/** What costs least is looked at first, the signature last. */
function verify(token: string, wallMs: number, issuers: readonly Issuer[]): Verified | TokenProblem {
  let header: ReturnType<typeof decodeProtectedHeader>
  let claims: JWTPayload
  try {
    header = decodeProtectedHeader(token)
    claims = decodeJwt(token)
  } catch {
    return 'malformed'
  }
  // An extension that must be understood is not (RFC 7515 section 4.1.11).
  if (header.crit !== undefined) return 'malformed'
  const known = issuers.filter(({ policy }) => policy.issuer === claims.iss)
  if (known.length === 0) return 'issuer'
  const issuer = known.find(({ policy }) => isMeantFor(claims.aud, policy.audiences))
  if (issuer === undefined) return 'audience'
  const algorithm = issuer.policy.algorithms.find((allowed) => allowed === header.alg)
  if (algorithm === undefined) return 'algorithm'
  const { exp, nbf } = claims
  if (!Number.isFinite(exp) || (nbf !== undefined && !Number.isFinite(nbf))) return 'claims'
  if (wallMs >= exp! * 1000 + SKEW) return 'expired'
  if (nbf !== undefined && wallMs < nbf * 1000 - SKEW) return 'early'
  const keys = issuer.keys()
  const key = keys?.find(header.kid, algorithm) ?? null
  if (keys === null || key === null) {
    issuer.miss()
    return 'key'
  }
  return isSigned(token, algorithm, key) ? { issuer, claims, keys } : 'signature'
}

function isSigned(token: string, algorithm: JwtAlgorithm, key: KeyObject): boolean {
  const end = token.lastIndexOf('.')
  const text = token.slice(end + 1)
  const signature = Buffer.from(text, 'base64url')
  // One spelling of each: what Buffer skips over would make many tokens of one.
  if (signature.toString('base64url') !== text) return false
  try {
    return verifySignature(algorithm, key, token.slice(0, end), signature)
  } catch {
    return false
  }
}

function isMeantFor(audience: unknown, wanted: readonly string[]): boolean {
  const named: unknown[] = Array.isArray(audience) ? audience : [audience]
  return named.some((name) => wanted.some((one) => one === name))
}

/** The names and values of the claims that name a principal; null where one is missing, empty or no text and no number. */
function principalParts(claims: JWTPayload, names: readonly string[]): readonly string[] | null {
  const parts: string[] = []
  for (const name of names) {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined
    if ((typeof value !== 'string' || value === '') && !Number.isFinite(value)) return null
    parts.push(name, JSON.stringify(value))
  }
  return parts
}
