import { isIP } from 'node:net'
import { SluiceError } from '../errors.ts'
import { show } from '../policy/show.ts'

/** A request that somebody asks about: as it would come in, and from whom. */
export type Question = {
  readonly method: string
  /** Path and query, as in the request line. */
  readonly target: string
  /** Names and values, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** The address that would connect. */
  readonly from: string
}

const KEYS: readonly string[] = ['method', 'url', 'headers', 'from']
const MAX_FIELDS = 200
/** What can go over a connection on one line; a wider character would be cut to a byte, which may be a line break. */
const BYTES = /^[^\r\n\u0100-\uffff]*$/

/**
 * Reads a question from what JSON or flags give: `{"method": "POST", "url": "/login", "headers": {"User-Agent": "curl"} or
 * [["User-Agent", "curl"]], "from": "203.0.113.9"}`; only `url` must be there. Throws `usage` with the value, the rule and the fix.
 */
export function readQuestion(given: unknown): Question {
  if (!isMap(given))
    throw usage(`${show(given)} is not a request; write {"url": "/path", "method": "GET", "headers": {}}`)
  for (const key of Object.keys(given)) {
    if (!KEYS.includes(key)) throw usage(`${show(key)} is not part of a request; write ${KEYS.join(', ')}`)
  }
  const { method = 'GET', url, from = '127.0.0.1' } = given
  if (typeof method !== 'string' || !/^[!#$%&'*+.^_`|~\w-]{1,64}$/.test(method)) {
    throw usage(`method: ${show(method)} is not a method; write one such as GET or POST`)
  }
  if (typeof from !== 'string' || isIP(from) === 0) {
    throw usage(`from: ${show(from)} is not an address; write one such as 203.0.113.9 or 2001:db8::1`)
  }
  const fields = readFields(given.headers ?? [])
  const { target, host } = readUrl(url)
  const hasHost = fields.some(([name]) => name.toLowerCase() === 'host')
  return { method, target, fields: hasHost ? fields : [['Host', host ?? 'localhost'], ...fields], from }
}

/** The field of a line as curl's -H takes it. */
export function readFieldLine(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  // What it is instead may be a token: the problem does not show it.
  if (colon < 1) throw usage("a header line has no name before a colon; write 'Name: value'")
  return [line.slice(0, colon), line.slice(colon + 1).trim()]
}

function readUrl(url: unknown): { target: string; host: string | null } {
  if (typeof url !== 'string' || url === '')
    throw usage(`url: ${show(url)} is not a URL; write /path or https://host/path`)
  if (!BYTES.test(url)) throw usage(`url: ${show(url)} has a line break, or what is no byte; write it percent-encoded`)
  if (url.startsWith('/') || url === '*') return { target: url, host: null }
  const absolute = /^https?:\/\/([^/?#]+)([^#]*)/i.exec(url)
  if (absolute === null) throw usage(`url: ${show(url)} is not a URL; write /path or https://host/path`)
  const rest = absolute[2]!
  // As a client would send it, which the URL class would tidy first.
  return { target: rest.startsWith('/') ? rest : `/${rest}`, host: absolute[1]! }
}

function readFields(given: unknown): readonly (readonly [string, string])[] {
  const pairs: unknown[] = Array.isArray(given) ? given : isMap(given) ? Object.entries(given) : [given]
  if (pairs.length > MAX_FIELDS) throw usage(`headers: ${pairs.length} are too many; write at most ${MAX_FIELDS}`)
  return pairs.map((pair, i) => {
    const [name, value, ...rest] = Array.isArray(pair) ? (pair as unknown[]) : []
    if (typeof name !== 'string' || typeof value !== 'string' || rest.length > 0) {
      throw usage(`headers[${i}] is not a field; write {"Name": "value"} or [["Name", "value"]]`)
    }
    if (!BYTES.test(name + value)) {
      throw usage(`headers: ${show(name)} has a line break, or what is no byte; write one line`)
    }
    return [name, value]
  })
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function usage(message: string): SluiceError {
  return new SluiceError('usage', message)
}
