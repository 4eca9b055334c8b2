import { type FieldRoles, hyphenated } from '../../http/field-roles.ts'
import { isFramingLookAlike } from '../../http/fields.ts'
import { isHopByHop } from '../../http/hop-by-hop.ts'

/**
 * Fields that say how a message is framed, routed, authenticated, cached or read: behind the body it is too late for them, and
 * some receivers merge trailers into the header (RFC 9110 section 6.5.1).
 */
const HEADER_ONLY = new Set([
  'host',
  'authorization',
  'cookie',
  'cookie2',
  'set-cookie',
  'www-authenticate',
  'cache-control',
  'expect',
  'max-forwards',
  'pragma',
  'range',
  'age',
  'date',
  'expires',
  'location',
  'retry-after',
  'vary',
  'warning',
  'via',
  'forwarded',
  'x-real-ip',
  'x-client-cert',
  'x-request-id',
])

/** The trailers (names and values in turn) that may go on behind a response's body. */
export function forwardableTrailers(fields: readonly string[]): string[] {
  return fields.filter((_, i) => isForwardable(fields[i - (i % 2)]!.toLowerCase()))
}

/**
 * The trailers that may go on behind a request's body: besides those of any message, none that the policy reads or trusts, for an
 * upstream that merges them into the header would see another request than the one that was decided on.
 */
export function forwardableRequestTrailers(
  fields: readonly string[],
  fieldRoles: FieldRoles,
  onLookAlike: () => void,
): string[] {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    const role = fieldRoles(name)
    if (role.isLookAlike || isFramingLookAlike(name)) onLookAlike()
    else if (!role.isReplaced && !role.isForwarding && !role.isRead && isForwardable(name)) {
      kept.push(fields[i]!, fields[i + 1]!)
    }
  }
  return kept
}

function isForwardable(written: string): boolean {
  const name = hyphenated(written)
  if (isHopByHop(name) || HEADER_ONLY.has(name)) return false
  return !/^(?:content-|if-|x-forwarded-|x-ratelimit-|ratelimit)/.test(name)
}
