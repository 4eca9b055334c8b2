import { isIP } from 'node:net'
import type { Line } from '../line.ts'
import { readCommonTime } from './log-time.ts'
import { quote } from './quote.ts'
import { orNull, readQuoted } from './quoted.ts'
import { noRequest, stoppedAt, type TextReader } from './reader.ts'

const SECOND_US = 1_000_000
/** Client, time, request, status. */
const PARTS = 4

/**
 * Reads the common and the combined log format of nginx and Apache, Apache's vhost_combined, which has the server's name before it, and
 * Traefik's, which goes on behind it:
 *
 *     192.0.2.1 - alice [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 23 "https://referer" "User-Agent" "X-Forwarded-For"
 *     api.example:443 192.0.2.1 - alice [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 23
 *
 * The last field is that of the `main` format in nginx's own example. Times are whole seconds.
 */
export const combined: TextReader = { format: 'combined', read: readCombined }

function readCombined(line: string): Line {
  const stop = (found: number, character: number, reason: string) =>
    stoppedAt('combined', found / PARTS, character, reason)
  const close = line.indexOf('] "')
  // The last one: a user's name may hold the same.
  const open = line.lastIndexOf(' [', close)
  if (close === -1 || open <= 0) return stop(0, 0, 'no address, then a time in brackets and a request in quotes')
  const client = readClient(line.slice(0, open))
  if (client === null) return stop(0, 0, `${quote(line.slice(0, open))} does not begin with an address or a host name`)
  const timeUs = readCommonTime(line.slice(open + 2, close))
  if (timeUs === null) {
    return stop(1, open + 2, `${quote(line.slice(open + 2, close))} is not a time as 10/Oct/2000:13:55:36 -0700`)
  }
  const request = readQuoted(line, close + 2)
  if (request === null) return stop(2, close + 2, 'the quotes of the request do not end')
  const status = /^ \d{3} (?:\d+|-)/.exec(line.slice(request.end, request.end + 32))
  if (status === null) return stop(3, request.end, 'no status and number of bytes, as 200 571')
  const referer = readQuoted(line, request.end + status[0].length + 1)
  const agent = referer && readQuoted(line, referer.end + 1)
  const forwarded = agent && readQuoted(line, agent.end + 1)
  const parts = readRequestLine(request.text)
  if (parts === null) return noRequest(`${quote(request.text)} is no request line`)
  return {
    kind: 'request',
    format: 'combined',
    timeUs,
    stepUs: SECOND_US,
    ...parts,
    host: client.host,
    fields: fieldsOf(referer && orNull(referer.text), agent && orNull(agent.text)),
    hasAllFields: false,
    hasCredentials: false,
    address: client.address,
    forwardedFor: forwarded && orNull(forwarded.text),
  }
}

/** `GET /a HTTP/1.1`; null for what is no request, such as the first bytes of a TLS handshake. */
export function readRequestLine(text: string): { readonly method: string; readonly target: string } | null {
  const first = text.indexOf(' ')
  const last = text.lastIndexOf(' ')
  if (first <= 0 || last === first || !text.startsWith('HTTP/', last + 1)) return null
  const method = text.slice(0, first)
  return METHOD.test(method) ? { method, target: text.slice(first + 1, last) } : null
}

const METHOD = /^[A-Z][A-Z_-]{0,30}$/

export function fieldsOf(referer: string | null, agent: string | null): readonly string[] {
  if (agent === null) return referer === null ? [] : ['referer', referer]
  return referer === null ? ['user-agent', agent] : ['referer', referer, 'user-agent', agent]
}

type Client = { readonly address: string | null; readonly host: string | null }

/**
 * What is before the time: `192.0.2.1 - alice`. The server's name may be before the client, and the client may be the name that its
 * address was resolved to, a dash, or where Traefik was told of hops before it a list. Null for anything else.
 */
function readClient(head: string): Client | null {
  const space = head.indexOf(' ')
  const first = space === -1 ? head : head.slice(0, space)
  if (isIP(first) !== 0) return { address: first, host: null }
  if (first === '-') return { address: null, host: null }
  const dash = head.indexOf(' - ')
  const before = dash === -1 ? first : head.slice(0, dash)
  if (before.includes(',')) return { address: before, host: null }
  const next = space === -1 ? -1 : head.indexOf(' ', space + 1)
  const second = space === -1 ? '' : head.slice(space + 1, next === -1 ? head.length : next)
  const hasServer = isIP(second) !== 0 || (before.length > first.length && before.length === next)
  if (hasServer && NAME.test(first) && NAME.test(second)) {
    return { address: orNull(second), host: HOST.test(first) ? first : null }
  }
  return NAME.test(first) ? { address: first, host: null } : null
}

/** A host name or an address, with a port or not; `unix:` is what nginx writes for a peer on a socket file. */
const NAME = /^[\w.:[\]-]{1,255}$/
/** Not `_`, which is what nginx calls a server without a name. */
const HOST = /^[a-z\d.-]+(?::\d{1,5})?$/i
