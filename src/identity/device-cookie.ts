import type { IncomingHttpHeaders } from 'node:http'
import type { IdentityPolicy } from '../policy/types.ts'
import { cookieOf } from './cookie-field.ts'
import { createDeviceMarks, type DeviceMark, type DeviceMarks, type MarkProblem } from './device-mark.ts'
import type { SignedDevice } from './evidence.ts'
import type { Network } from './identity.ts'
import { deriveKey, type Keyring } from './keyring.ts'
import { sextetAt, tagOf } from './pseudonym.ts'

/** What a request bears of us. */
export type BorneMark = { readonly mark: DeviceMark; readonly via: 'cookie' | 'header' }

export type DeviceCookie = {
  readonly marks: DeviceMarks
  /** The cookie's name, by whether the client came over https. */
  name(isHttps: boolean): string
  /** Every name under which a mark of ours may come, http and https, of each secret: none of them goes upstream. */
  readonly names: ReadonlySet<string>
  /** Lower case. */
  readonly tokenHeader: string
  read(headers: IncomingHttpHeaders, isHttps: boolean, wallMs: number): BorneMark | null
  /** The evidence that a mark is, on a network. */
  device(borne: BorneMark, network: Network): SignedDevice
}

/**
 * Compiles how a device's mark is found in a request: in the token header, else in the cookie. Over https the cookie bears
 * the prefix `__Host-` (RFC 6265bis section 4.1.3.2), so that no neighbouring host can plant one; its name says which
 * secret it is of, so that two proxies under one host name do not take each other's.
 */
export function compileDeviceCookie(
  policy: IdentityPolicy,
  keyring: Keyring,
  onProblem: (problem: MarkProblem) => void = () => {},
): DeviceCookie {
  const { secrets, deviceCookie } = policy
  const { tokenHeader } = deviceCookie
  const marks = createDeviceMarks(secrets, deviceCookie.maxAge)
  // While a secret is being replaced, cookies come under both names.
  const plain = secrets.map((secret) => `sluice-${deriveKey(secret, 'cookie-name').toString('hex', 0, 3)}`)
  const hosts = plain.map((name) => `__Host-${name}`)
  // The same text gives the same object, as long as it is remembered.
  const ids = new WeakMap<DeviceMark, string>()

  function read(text: string, via: BorneMark['via'], wallMs: number): BorneMark | null {
    const mark = marks.read(text, wallMs)
    if (typeof mark !== 'string') return { mark, via }
    onProblem(mark)
    return null
  }

  function idOf(mark: DeviceMark): string {
    let id = ids.get(mark)
    if (id === undefined) {
      id = keyring.pseudonym('device', [mark.device])
      ids.set(mark, id)
    }
    return id
  }

  return {
    marks,
    name: (isHttps) => (isHttps ? hosts : plain)[0]!,
    names: new Set([...plain, ...hosts]),
    tokenHeader,

    read(headers, isHttps, wallMs) {
      const token = headers[tokenHeader]
      // `?1`, a true boolean of Structured Fields, asks for the answer's field; an empty one says nothing.
      const borne = typeof token === 'string' && !/^(\?1)?$/.test(token) ? read(token, 'header', wallMs) : null
      if (borne !== null || headers.cookie === undefined) return borne
      for (const name of isHttps ? hosts : plain) {
        const value = cookieOf(headers.cookie, name)
        const found = value === null ? null : read(value, 'cookie', wallMs)
        if (found !== null) return found
      }
      return null
    },

    device({ mark, via }, network) {
      const id = idOf(mark)
      const { issuedMs, grade } = mark
      return { id, tag: tagOf(id), via, issuedMs, grade, isHome: mark.home === homeOf(network) }
    },
  }
}

/** The first 16 bits of a network's pseudonym: too few to tell anybody where a device has been, enough to know it again. */
export function homeOf(network: Network): number {
  const { id } = network
  return (sextetAt(id, 0) << 10) | (sextetAt(id, 1) << 4) | (sextetAt(id, 2) >> 2)
}

/** Whether the client itself came over https; only a trusted peer can say so, and the nearest has the last word. */
export function isOverHttps(headers: IncomingHttpHeaders, isPeerTrusted: boolean): boolean {
  const proto = isPeerTrusted ? headers['x-forwarded-proto'] : undefined
  return (
    typeof proto === 'string' &&
    proto
      .slice(proto.lastIndexOf(',') + 1)
      .trim()
      .toLowerCase() === 'https'
  )
}
