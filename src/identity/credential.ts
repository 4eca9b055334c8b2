import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { ApiKeysPolicy, ClientCertificatePolicy, IdentityPolicy } from '../policy/types.ts'
import { compileClientCertificate } from './client-certificate.ts'
import type { Principal } from './evidence.ts'
import { compileJwt, type JwtOptions, type VerifiedToken } from './jwt.ts'
import type { Keyring } from './keyring.ts'
import { tagOf } from './pseudonym.ts'

export type Credential = {
  /** Who the client is proved to be. */
  readonly principal: Principal | null
  /** What it merely claims: tokens that nothing here has verified, whole, one after another. None beside a principal. */
  readonly claims: readonly string[]
  /** What a verified token says. */
  readonly verified: VerifiedToken['claims'] | null
}

/**
 * Compiles how credentials are read: a JWT, an API key, a certificate. Of several the first whose enrolment is controlled
 * counts, else the first: an account that anyone can have does not displace one that costs something.
 */
export function compileCredential(
  policy: IdentityPolicy,
  options: JwtOptions,
): (headers: IncomingHttpHeaders, isPeerTrusted: boolean, wallMs: number) => Credential {
  const { apiKeys, clientCertificate } = policy
  const verifyJwt = compileJwt(policy.jwt, options)
  const keyPrincipal = apiKeys === null ? () => null : compileApiKey(apiKeys, options.keyring)
  const certificatePrincipal =
    clientCertificate === null ? () => null : compileCertificate(clientCertificate, options.keyring)

  return (headers, isPeerTrusted, wallMs) => {
    // An empty field claims nothing: sending one now and then must not make two clients of one.
    const authorization = headers.authorization === '' ? undefined : headers.authorization
    const field = apiKeys === null ? undefined : headers[apiKeys.header]
    const key = typeof field === 'string' && field !== '' ? field : undefined
    const verified = authorization === undefined ? null : verifyJwt(bearer(authorization), wallMs)
    const byToken = verified?.principal ?? null
    const byKey = key === undefined ? null : keyPrincipal(key)
    const byCertificate = isPeerTrusted ? certificatePrincipal(headers) : null
    const principal =
      controlled(byToken) ?? controlled(byKey) ?? controlled(byCertificate) ?? byToken ?? byKey ?? byCertificate
    if (principal !== null) return { principal, claims: NO_CLAIMS, verified: verified?.claims ?? null }
    if (key !== undefined) return { principal, claims: [authorization ?? '', key], verified: null }
    return authorization === undefined ? NOTHING : { principal, claims: [authorization], verified: null }
  }
}

const NO_CLAIMS: readonly string[] = []
const NOTHING: Credential = { principal: null, claims: NO_CLAIMS, verified: null }

/** A key is known by its SHA-256 alone; one that is not listed is only a claim. */
function compileApiKey({ principals, enrolment }: ApiKeysPolicy, keyring: Keyring): (key: string) => Principal | null {
  const known = remember<{ readonly principal: Principal | null }>()
  return (key) => {
    let found = known.get(key)
    if (found === undefined) {
      const name = principals.get(createHash('sha256').update(key, 'latin1').digest('hex'))
      found = { principal: name === undefined ? null : prove(keyring, 'api_key', enrolment, [name]) }
      known.set(key, found)
    }
    return found.principal
  }
}

function compileCertificate(
  policy: ClientCertificatePolicy,
  keyring: Keyring,
): (headers: IncomingHttpHeaders) => Principal | null {
  const read = compileClientCertificate(policy)
  const known = remember<{ readonly principal: Principal | null }>()
  return (headers) => {
    const field = headers[policy.header]
    if (typeof field !== 'string') return null
    let found = known.get(field)
    if (found === undefined) {
      const parts = read(headers)
      found = { principal: parts && prove(keyring, 'client_certificate', policy.enrolment, parts) }
      known.set(field, found)
    }
    return found.principal
  }
}

function prove(
  keyring: Keyring,
  source: Principal['source'],
  enrolment: Principal['enrolment'],
  parts: readonly string[],
): Principal {
  const id = keyring.pseudonym('principal', [source, ...parts])
  return { id, tag: tagOf(id), source, enrolment }
}

function controlled(principal: Principal | null): Principal | null {
  return principal?.enrolment === 'controlled' ? principal : null
}

/** The token of an Authorization field (RFC 6750); empty where it bears none. */
export function bearer(authorization: string): string {
  return /^bearer /i.test(authorization) ? authorization.slice('bearer '.length).trim() : ''
}

/** Bounded by bytes, not entries, for a client chooses how long its values are. */
function remember<Value extends object>(): LRUCache<string, Value> {
  return new LRUCache({ maxSize: 4 * 1024 * 1024, sizeCalculation: (_, key) => key.length + 200 })
}
