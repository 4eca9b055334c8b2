import type { Facts } from '../http/facts.ts'
import { isHopByHop, nominatedFields } from '../http/hop-by-hop.ts'
import { withoutCookies } from '../identity/cookie-field.ts'

export type RequestFieldsOptions = {
  /** The address of the peer on the connection, or undefined where it has gone. */
  readonly peer: string | undefined
  readonly isPeerTrusted: boolean
  /** Fields (lower case) in which trusted peers speak of the client, besides the standard ones. */
  readonly peerFields: readonly string[]
  /** Where a device's mark may stand, which is ours alone; null where there are none. */
  readonly deviceCookie: { readonly names: ReadonlySet<string>; readonly tokenHeader: string } | null
  readonly host: string
  readonly requestId: string
  /** This proxy's name in Via. */
  readonly via: string
}

/** Fields that say through whom a request came. From a peer that is not trusted they are lies at best. */
const FORWARDING = new Set(['forwarded', 'x-real-ip', 'x-client-cert'])
/** What a proxy that ends TLS says of the client's handshake, under whichever name: JA3, JA4, JA4H. */
const TLS_FINGERPRINT = /(?:^|-)ja[34]h?(?:-|$)/
/** Written anew below. */
const REPLACED = new Set([
  'host',
  'via',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'expect',
])
/** Security fields whose underscored twin some upstreams (CGI, WSGI) read as the same field. */
const TWINNED = new Set([...FORWARDING, ...REPLACED, 'content-length', 'transfer-encoding', 'authorization', 'cookie'])

/**
 * The fields to send upstream, names and values in turn: the client's as received (order, case, duplicates), without what
 * ends at this hop and without what an untrusted peer says of others; then ours.
 */
export function requestFields(facts: Facts, options: RequestFieldsOptions): string[] {
  const { rawHeaders, names, headers, singleFields } = facts
  const { deviceCookie } = options
  const nominated = nominatedFields(headers.connection)
  const fields: string[] = ['Host', options.host]
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    if (isHopByHop(name) || REPLACED.has(name)) continue
    if (!options.isPeerTrusted && isForwarding(name, options.peerFields)) continue
    // Who was counted goes on with the request, whatever Connection says.
    if (nominated?.has(name) && !singleFields.includes(name) && !isForwarding(name, options.peerFields)) continue
    if (name.includes('_') && isTwin(name, singleFields, options.peerFields)) continue
    if (name === deviceCookie?.tokenHeader) continue
    const value = rawHeaders[2 * i + 1]!
    const kept = name === 'cookie' && deviceCookie !== null ? withoutCookies(value, deviceCookie.names) : value
    if (kept !== '' || value === '') fields.push(rawHeaders[2 * i]!, kept)
  }
  const trusted = options.isPeerTrusted ? headers : {}
  const peer = options.peer ?? 'unknown'
  const via = `${facts.httpVersion} ${options.via}`
  fields.push(
    'Via',
    headers.via === undefined ? via : `${headers.via}, ${via}`,
    'X-Forwarded-For',
    trusted['x-forwarded-for'] === undefined ? peer : `${trusted['x-forwarded-for']}, ${peer}`,
    'X-Forwarded-Proto',
    single(trusted['x-forwarded-proto']) ?? 'http',
  )
  // A client of HTTP/1.0 need not say which host it means.
  const forwardedHost = single(trusted['x-forwarded-host']) ?? facts.authority
  if (forwardedHost !== '') fields.push('X-Forwarded-Host', forwardedHost)
  fields.push('X-Request-Id', options.requestId)
  return fields
}

/** Whether a field (lower-case name) speaks of who the client is or came through. */
export function isForwarding(name: string, peerFields: readonly string[]): boolean {
  return (
    name.startsWith('x-forwarded-') ||
    FORWARDING.has(name) ||
    peerFields.includes(name) ||
    (name.includes('ja') && TLS_FINGERPRINT.test(name))
  )
}

function isTwin(name: string, singleFields: readonly string[], peerFields: readonly string[]): boolean {
  const hyphenated = name.replaceAll('_', '-')
  // A field may be named with an underscore by the policy itself: then it is no twin.
  if (singleFields.includes(name) || peerFields.includes(name)) return false
  return TWINNED.has(hyphenated) || singleFields.includes(hyphenated) || isForwarding(hyphenated, peerFields)
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.at(-1) : value
}
