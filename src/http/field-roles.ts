import { isHopByHop } from './hop-by-hop.ts'
import { rememberFew } from './remember-few.ts'

/** What a proxy does with a request's field, told by its name. */
export type FieldRole = {
  /** Ends at this hop or is written anew: it does not go on as it came. */
  readonly isReplaced: boolean
  /** Names another method or target, and goes no further. */
  readonly isOverride: boolean
  /** Says who the client is or came through: believed from a trusted peer only. */
  readonly isForwarding: boolean
  /** The policy reads it: the upstream must see what was decided by. */
  readonly isRead: boolean
  /** Reads like one of those, or like a credential, to an upstream that folds names (CGI, WSGI and what copies them). */
  readonly isLookAlike: boolean
}

export type FieldRoles = (name: string) => FieldRole

export type FieldRolesOptions = {
  /** Fields (lower case) in which trusted peers speak of the client, besides the standard ones. */
  readonly peerFields: readonly string[]
  /** Further fields (lower case) that the policy reads: keys, credentials, matches, the device's token. */
  readonly readFields: readonly string[]
  /** Fields (lower case) that go no further, since they name another method or target (method-override.ts). */
  readonly strippedFields: readonly string[]
}

/** Fields that say through whom a request came. From a peer that is not trusted they are lies at best. */
const FORWARDING = new Set(['forwarded', 'x-real-ip', 'x-client-cert'])
/** What a proxy that ends TLS says of the client's handshake, under whichever name: JA3, JA4, JA4H. */
const TLS_FINGERPRINT = /(?:^|-)ja[34]h?(?:-|$)/
/** Written anew for the upstream. */
const REPLACED = new Set([
  'host',
  'via',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'expect',
])
const CREDENTIALS = new Set(['authorization', 'cookie'])
const GUARDED = new Set(
  [
    ...['connection', 'keep-alive', 'proxy', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'upgrade'],
    ...FORWARDING,
    ...REPLACED,
    ...CREDENTIALS,
  ].map(squeezed),
)

/**
 * Compiles what becomes of a field by its name (lower case). A name that is in none of the lists, but is one of them once
 * everything but letters and digits is removed, is a look-alike: one party would count or trust by it, another not.
 * Remembered by name, for names repeat.
 */
export function compileFieldRoles({ peerFields, readFields, strippedFields }: FieldRolesOptions): FieldRoles {
  const peer = new Set(peerFields)
  const read = new Set([...peerFields, ...readFields])
  const stripped = new Set(strippedFields)
  const guarded = new Set([...GUARDED, ...[...read, ...stripped].map(squeezed)])
  /** Of a family of names only the proper spelling belongs to it: `x-forwarded-for.` is no other X-Forwarded field. */
  const speaksOfClient = (name: string) =>
    peer.has(name) || FORWARDING.has(name) || (isOfFamily(name) && name === hyphenated(name) && !isGuarded(name))
  const isGuarded = (name: string) => guarded.has(squeezed(name)) && !REPLACED.has(name) && !read.has(name)

  function isLookAlike(name: string): boolean {
    const plain = squeezed(name)
    const isPrefixed = plain.startsWith('xforwarded') && plain.length > 'xforwarded'.length
    return guarded.has(plain) || isPrefixed || isOfFamily(hyphenated(name))
  }

  return rememberFew((name) => {
    const isOverride = stripped.has(name)
    const isReplaced = isHopByHop(name) || REPLACED.has(name) || isOverride
    const isForwarding = speaksOfClient(name)
    const isRead = read.has(name)
    const isItself = isReplaced || isForwarding || isRead || CREDENTIALS.has(name)
    return { isReplaced, isOverride, isForwarding, isRead, isLookAlike: !isItself && isLookAlike(name) }
  })
}

/** A name (lower case) with a single hyphen in the place of whatever separates its words. */
export function hyphenated(name: string): string {
  return name
    .split(/[^a-z0-9]+/)
    .filter(Boolean)
    .join('-')
}

function squeezed(name: string): string {
  return name.replace(/[^a-z0-9]/g, '')
}

function isOfFamily(name: string): boolean {
  return name.startsWith('x-forwarded-') || (name.includes('ja') && TLS_FINGERPRINT.test(name))
}
