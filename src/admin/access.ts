import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { type Access, type AdminAnswer, problem } from './route.ts'

export type AccessOptions = {
  /** The token in force; null where the policy sets none. */
  readonly token: string | null
  readonly isLoopback: boolean
}

const BEARER = 'Bearer realm="Sluice"'
/** A browser asks for a name and a password by itself: the token is the password, the name is not looked at. */
const BASIC = 'Basic realm="Sluice: any name, and the admin token as the password", charset="UTF-8"'

/**
 * Why a request is not served; null where it is (docs/decisions/9-who-may-use-the-admin-port.md). What is read on loopback
 * needs no token; elsewhere all but the open paths does, as a bearer or as a Basic password. What changes something always
 * needs it, as a bearer, which no browser sends by itself.
 */
export function judgeAccess(access: Access, headers: IncomingHttpHeaders, options: AccessOptions): AdminAnswer | null {
  const { token, isLoopback } = options
  if (access === 'open' || (access === 'read' && isLoopback)) return null
  if (token === null) {
    const what =
      access === 'change' ? 'Nothing can be changed' : 'Beyond loopback nothing but metrics and health is shown'
    return problem(403, `${what} without a token: set admin_token, admin_token_file or SLUICE_ADMIN_TOKEN.`)
  }
  const given = tokenIn(headers.authorization, access === 'read')
  if (given !== null && isSame(given, token)) return null
  const why = given === null ? 'This needs the admin token' : 'This is not the admin token'
  const challenge = access === 'read' ? [BASIC, BEARER] : [BEARER]
  return problem(
    401,
    `${why}: send Authorization: Bearer <admin_token>.`,
    challenge.flatMap((scheme) => ['WWW-Authenticate', scheme]),
  )
}

/** A web page whose name was rebound to 127.0.0.1 names itself (DNS rebinding): on loopback only an address or localhost will do. */
export function isLocalName(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
  return name.toLowerCase() === 'localhost' || isIP(name) !== 0
}

/**
 * Whether a browser sends this for another site's page (cross-site request forgery), by what no script can set: Sec-Fetch-Site
 * or Origin. What is no browser sends neither.
 */
export function isCrossSite({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  return origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`
}

function tokenIn(authorization: string | undefined, mayBeBasic: boolean): string | null {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+)$/.exec(authorization ?? '') ?? []
  if (/^bearer$/i.test(scheme)) return value
  if (!mayBeBasic || !/^basic$/i.test(scheme)) return null
  const pair = Buffer.from(value, 'base64').toString('utf8')
  return pair.slice(pair.indexOf(':') + 1)
}

/** Hashed first, so that the time tells neither how much of it is right nor how long it is. */
function isSame(given: string, token: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest()
  return timingSafeEqual(digest(given), digest(token))
}
