import type { Facts } from '../http/facts.ts'
import type { FieldRoles } from '../http/field-roles.ts'
import { nominatedFields } from '../http/hop-by-hop.ts'
import { withoutCookies } from '../identity/cookie-field.ts'

export type RequestFieldsOptions = {
  /** The address of the peer on the connection, or undefined where it has gone. */
  readonly peer: string | undefined
  readonly isPeerTrusted: boolean
  readonly fieldRoles: FieldRoles
  /** Called for each field that is dropped since its name reads like one that somebody trusts. */
  readonly onLookAlike: () => void
  /** Called for each field that is dropped since it names another method or target. */
  readonly onOverride: () => void
  /** Where a device's mark may stand, which is ours alone; null where there are none. */
  readonly deviceCookie: { readonly names: ReadonlySet<string>; readonly tokenHeader: string } | null
  readonly host: string
  readonly requestId: string
  /** This proxy's name in Via. */
  readonly via: string
  /** Whether it asks for a WebSocket: then what makes it a handshake goes on, where it stood. */
  readonly isHandshake: boolean
}

/**
 * The fields to send upstream, names and values in turn: the client's as received (order, case, duplicates), without what
 * ends at this hop and without what an untrusted peer says of others; then ours.
 */
export function requestFields(facts: Facts, options: RequestFieldsOptions): string[] {
  const { rawHeaders, names, headers } = facts
  const { deviceCookie, isPeerTrusted, fieldRoles, isHandshake } = options
  const nominated = nominatedFields(headers.connection)
  const fields: string[] = isHandshake && names.includes('host') ? [] : ['Host', options.host]
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    const role = fieldRoles(name)
    if (role.isOverride) options.onOverride()
    if (isHandshake && HANDSHAKE.has(name)) {
      // Connection as this hop's, and Upgrade once: it could not name two protocols.
      const value = name === 'host' ? options.host : name === 'upgrade' ? rawHeaders[2 * i + 1]! : 'Upgrade'
      if (names.indexOf(name) === i) fields.push(rawHeaders[2 * i]!, value)
      continue
    }
    if (role.isReplaced || (role.isForwarding && !isPeerTrusted)) continue
    if (role.isLookAlike) {
      options.onLookAlike()
      continue
    }
    // What was decided by goes on with the request, whatever Connection says.
    if (nominated?.has(name) && !role.isRead && !role.isForwarding) continue
    if (name === deviceCookie?.tokenHeader) continue
    const value = rawHeaders[2 * i + 1]!
    const kept = name === 'cookie' && deviceCookie !== null ? withoutCookies(value, deviceCookie.names) : value
    // A length goes on as its decimal value: to a lenient reader `010` is eight.
    if (name === 'content-length') fields.push(rawHeaders[2 * i]!, String(Number(value)))
    else if (kept !== '' || value === '') fields.push(rawHeaders[2 * i]!, kept)
  }
  const trusted = isPeerTrusted ? headers : {}
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

/** What a handshake keeps of the fields that end here, or are written anew, in other requests. */
const HANDSHAKE = new Set(['host', 'connection', 'upgrade'])

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.at(-1) : value
}
