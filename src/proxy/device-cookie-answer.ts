import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Caching } from '../http/caching.ts'
import { type Fields, namesOf } from '../http/fields.ts'
import { type DeviceCookie, homeOf, isOverHttps } from '../identity/device-cookie.ts'
import type { DeviceMark } from '../identity/device-mark.ts'
import type { RequestEvidence } from '../identity/identify.ts'
import type { DeviceCookiePolicy } from '../policy/types.ts'

export type DeviceAnswer = {
  /**
   * The field that gives a device its mark with the answer, name and value; null where it needs none. `grade`: what it has
   * earned on this network, 0 to 3; null where nobody has looked.
   */
  field(request: MarkRequest, grade: number | null): readonly [string, string] | null
}

/** What a mark depends on. */
export type MarkRequest = {
  readonly evidence: RequestEvidence
  readonly headers: IncomingHttpHeaders
  readonly isPeerTrusted: boolean
}

const DAY = 86_400_000

/**
 * Compiles which mark goes with an answer: a new one for who bears none that is valid, one signed anew when its grade
 * changes or it is a day old (half its life, if that is shorter), else none. A controlled principal needs none.
 */
export function compileDeviceAnswer(
  deviceCookie: DeviceCookie,
  policy: DeviceCookiePolicy,
  wallMs: () => number,
): DeviceAnswer {
  const renewAfter = Math.min(DAY, policy.maxAge / 2)
  const sameSite = policy.sameSite[0]!.toUpperCase() + policy.sameSite.slice(1)
  const attributes = `; Max-Age=${Math.floor(policy.maxAge / 1000)}; Path=/; HttpOnly; SameSite=${sameSite}`

  function next({ network, borne }: RequestEvidence, earned: number | null): DeviceMark | null {
    const nowMs = wallMs()
    const home = homeOf(network)
    if (borne === null) {
      return { device: randomBytes(12).toString('base64url'), issuedMs: nowMs, signedMs: nowMs, grade: 0, home }
    }
    const { mark } = borne
    const grade = earned ?? mark.grade
    // Away from home a mark keeps what it says of its own network, until it has earned as much here.
    const isAway = mark.home !== home && (earned === null || grade === 0 || grade < mark.grade)
    const isChanged = !isAway && (grade !== mark.grade || mark.home !== home)
    if (!isChanged && nowMs - mark.signedMs < renewAfter) return null
    return isAway ? { ...mark, signedMs: nowMs } : { ...mark, signedMs: nowMs, grade, home }
  }

  return {
    field({ evidence, headers, isPeerTrusted }, grade) {
      const { principal, borne } = evidence
      if (principal?.enrolment === 'controlled') return null
      const mark = next(evidence, grade)
      if (mark === null) return null
      const text = deviceCookie.marks.sign(mark)
      // An app without cookies asks by `?1`, and gets the next one where it sends the last.
      if (borne === null ? headers[policy.tokenHeader] === '?1' : borne.via === 'header')
        return [policy.tokenHeader, text]
      const isHttps = isOverHttps(headers, isPeerTrusted)
      return ['Set-Cookie', `${deviceCookie.name(isHttps)}=${text}${attributes}${isHttps ? '; Secure' : ''}`]
    },
  }
}

const UNSAFE = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

/** The answer that a mark may go with. */
export type MarkedAnswer = {
  readonly method: string
  readonly status: number
  /** Whether the request had an Authorization, to which no shared cache keeps the answer unless it is told to. */
  readonly isAuthorized: boolean
  readonly caching: Caching
}

/**
 * Adds a mark to an upstream's answer, where no shared cache can keep it: one cached mark would make one device of all visitors. Where
 * the upstream says nothing of caching, this one answer becomes private; but one that looks like a file, which a CDN keeps by itself,
 * stays as it is.
 */
export function addMark(
  answer: Fields,
  [name, value]: readonly [string, string],
  { method, status, isAuthorized, caching }: MarkedAnswer,
): Fields {
  // What a 304 bears, a cache writes into the answer that it keeps (RFC 9111 section 4.3.4).
  if (status === 304 || status < 200 || caching.isForCdns) return answer
  const { control, hasEtag, isDated, content, setsCookie } = caching
  const isUnsafe = UNSAFE.has(method)
  if (control !== null) {
    return control.isPrivate || (isUnsafe && !control.isPublic) ? adding(answer, name, value) : answer
  }
  if (isUnsafe) return adding(answer, name, value)
  const isFile = (hasEtag || isDated) && content !== 'html' && !setsCookie
  // Who asks for the field by its name keeps it, and no cache would keep that answer for others; nor one to credentials.
  const isAsked = name !== 'Set-Cookie'
  if (isFile && !isAsked && !isAuthorized) return answer
  return adding(answer, 'Cache-Control', 'private', name, value)
}

function adding({ fields, names }: Fields, ...more: readonly string[]): Fields {
  return { fields: [...fields, ...more], names: [...names, ...namesOf(more)] }
}
