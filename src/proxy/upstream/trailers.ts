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

/** The trailers (names and values in turn) that may go on behind a body. */
export function forwardableTrailers(fields: readonly string[]): string[] {
  return fields.filter((_, i) => isForwardable(fields[i - (i % 2)]!.toLowerCase().replaceAll('_', '-')))
}

function isForwardable(name: string): boolean {
  if (isHopByHop(name) || HEADER_ONLY.has(name)) return false
  return !/^(?:content-|if-|x-forwarded-|x-ratelimit-|ratelimit)/.test(name)
}
