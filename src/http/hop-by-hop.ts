/** Fields that end at each hop (RFC 9110 section 7.6.1) and those that a proxy consumes itself. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  // Not a field at all, but CGI programs take it for their HTTP_PROXY (CVE-2016-5385).
  'proxy',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * What `Connection` may not nominate away: framing, where the request goes, who sent it and through whom. A client that
 * names them wants the upstream to see another request than the one that was limited.
 */
const NEVER_NOMINATED = new Set([
  'content-length',
  'host',
  'authorization',
  'cookie',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-cert',
  'x-request-id',
  'cache-control',
])

/** Whether a field (lower-case name) stays at this hop. */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name)
}

/** The fields (lower case) that `Connection` nominates to stay at this hop; null where it names none that matters. */
export function nominatedFields(connection: string | undefined): ReadonlySet<string> | null {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return null
  let nominated: Set<string> | null = null
  for (const option of connection.split(',')) {
    const name = option.trim().toLowerCase()
    if (name === '' || name === 'close' || HOP_BY_HOP.has(name)) continue
    if (NEVER_NOMINATED.has(name) || name.startsWith('x-forwarded-')) continue
    nominated ??= new Set()
    nominated.add(name)
  }
  return nominated
}
