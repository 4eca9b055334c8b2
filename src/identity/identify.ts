import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { IdentityPolicy } from '../policy/types.ts'
import type { Address } from './address.ts'
import { type Credential, compileCredential } from './credential.ts'
import { type BorneMark, compileDeviceCookie, type DeviceCookie, isOverHttps } from './device-cookie.ts'
import type { MarkProblem } from './device-mark.ts'
import type { Evidence, Pseudonym } from './evidence.ts'
import { languageTags } from './header-class.ts'
import type { Network } from './identity.ts'
import type { Jwks } from './jwks.ts'
import type { TokenProblem } from './jwt.ts'
import type { Keyring } from './keyring.ts'
import { compileNetwork } from './network.ts'
import { tagOf } from './pseudonym.ts'

export type Identify = {
  network(address: Address): Network
  /** `isPeerTrusted`: whether what the peer says of the client is believed. `wallMs`: milliseconds since the epoch. */
  evidence(network: Network, headers: IncomingHttpHeaders, isPeerTrusted: boolean, wallMs: number): RequestEvidence
  /** Null where devices get no mark. */
  readonly deviceCookie: DeviceCookie | null
}

/** The mark itself goes with the evidence, for it may have to be signed anew; and what a verified token says. */
export type RequestEvidence = Evidence & Pick<Credential, 'verified'> & { readonly borne: BorneMark | null }

export type IdentifyOptions = {
  /** Fetches the keys of issuers that have an address for them. */
  readonly jwks?: Jwks
  /** Called for each request that bears what is not believed. */
  readonly onTokenProblem?: (problem: TokenProblem) => void
  readonly onMarkProblem?: (problem: MarkProblem) => void
}

/** Characters of Accept-Language that tell a class; browsers send fewer than a hundred. */
const MAX_LANGUAGES = 1024

/** What the headers of a request claim, under pseudonyms. */
type Claimed = { readonly classId: string; readonly isNameless: boolean; readonly token: Pseudonym | null }

/**
 * Compiles what a request shows of who sent it. Pseudonyms are remembered by the raw values they were made from, so that a
 * client that comes back costs no HMAC; the memory is bounded by bytes, not entries, for a client chooses how long its
 * values are.
 */
export function compileIdentify(policy: IdentityPolicy, keyring: Keyring, options: IdentifyOptions = {}): Identify {
  const network = compileNetwork(policy, keyring)
  const { jwks = null, onTokenProblem: onProblem = () => {} } = options
  const readCredential = compileCredential(policy, { keyring, jwks, onProblem })
  const deviceCookie = policy.deviceCookie.enabled ? compileDeviceCookie(policy, keyring, options.onMarkProblem) : null
  const known = new LRUCache<string, Claimed>({
    maxSize: 16 * 1024 * 1024,
    sizeCalculation: (_, key) => key.length + 200,
  })

  function claimedBy(from: Network, headers: IncomingHttpHeaders, claims: readonly string[]): Claimed {
    const userAgent = headers['user-agent'] ?? ''
    const language = (headers['accept-language'] ?? '').slice(0, MAX_LANGUAGES)
    const key = [from.id, userAgent, language, ...claims].map(prefixed).join('')
    let claimed = known.get(key)
    if (claimed === undefined) {
      claimed = { ...classify(from, userAgent, language, claims), token: tokenOf(claims) }
      known.set(key, claimed)
    }
    return claimed
  }

  function classify(from: Network, userAgent: string, language: string, claims: readonly string[]) {
    const tags = languageTags(language)
    const isNameless = userAgent === '' && tags === '' && claims.every((claim) => claim === '')
    const classId = keyring.pseudonym('class', isNameless ? [from.id] : [from.id, userAgent, tags, ...claims])
    return { classId, isNameless }
  }

  function tokenOf(claims: readonly string[]): Pseudonym | null {
    if (claims.length === 0) return null
    const id = keyring.pseudonym('token', claims)
    return { id, tag: tagOf(id) }
  }

  function evidence(
    from: Network,
    headers: IncomingHttpHeaders,
    isPeerTrusted: boolean,
    wallMs: number,
  ): RequestEvidence {
    const { principal, claims, verified } = readCredential(headers, isPeerTrusted, wallMs)
    const borne = deviceCookie?.read(headers, isOverHttps(headers, isPeerTrusted), wallMs) ?? null
    const device = borne && deviceCookie!.device(borne, from)
    return new Shown(from, principal, device, verified, borne, claimedBy, headers, claims)
  }

  return { network, evidence, deviceCookie }
}

type ClaimedBy = (from: Network, headers: IncomingHttpHeaders, claims: readonly string[]) => Claimed

/** What a request shows. Its claims are read when they are asked for: of a device known by its mark nobody does. */
class Shown implements RequestEvidence {
  readonly network: Network
  readonly principal: RequestEvidence['principal']
  readonly device: RequestEvidence['device']
  readonly verified: RequestEvidence['verified']
  readonly borne: BorneMark | null
  #claimed: Claimed | null = null
  readonly #claimedBy: ClaimedBy
  readonly #headers: IncomingHttpHeaders
  readonly #claims: readonly string[]

  constructor(
    network: Network,
    principal: RequestEvidence['principal'],
    device: RequestEvidence['device'],
    verified: RequestEvidence['verified'],
    borne: BorneMark | null,
    claimedBy: ClaimedBy,
    headers: IncomingHttpHeaders,
    claims: readonly string[],
  ) {
    this.network = network
    this.principal = principal
    this.device = device
    this.verified = verified
    this.borne = borne
    this.#claimedBy = claimedBy
    this.#headers = headers
    this.#claims = claims
  }

  #read(): Claimed {
    this.#claimed ??= this.#claimedBy(this.network, this.#headers, this.#claims)
    return this.#claimed
  }

  get classId(): string {
    return this.#read().classId
  }

  get isNameless(): boolean {
    return this.#read().isNameless
  }

  get token(): Pseudonym | null {
    return this.#claims.length === 0 ? null : this.#read().token
  }
}

function prefixed(part: string): string {
  return `${part.length}:${part}`
}
