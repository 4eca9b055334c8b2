import { type Line, NO_REQUEST, UNREADABLE } from '../line.ts'
import { readCommonTime } from './log-time.ts'
import { orNull, readQuoted } from './quoted.ts'

const SECOND_US = 1_000_000

/**
 * Reads the common and the combined log format of nginx and Apache, and Traefik's, which goes on behind it:
 *
 *     192.0.2.1 - alice [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 23 "https://referer" "User-Agent" "X-Forwarded-For"
 *
 * The last field is that of the `main` format in nginx's own example. Times are whole seconds.
 */
export function readCombined(line: string): Line {
  const open = line.indexOf(' [')
  const close = line.indexOf('] "', open)
  if (open <= 0 || close === -1) return UNREADABLE
  const timeUs = readCommonTime(line.slice(open + 2, close))
  const request = readQuoted(line, close + 2)
  if (timeUs === null || request === null) return UNREADABLE
  const status = /^ \d{3} (?:\d+|-)/.exec(line.slice(request.end, request.end + 32))
  if (status === null) return UNREADABLE
  const referer = readQuoted(line, request.end + status[0].length + 1)
  const agent = referer && readQuoted(line, referer.end + 1)
  const forwarded = agent && readQuoted(line, agent.end + 1)
  const parts = readRequestLine(request.text)
  if (parts === null) return NO_REQUEST
  return {
    kind: 'request',
    format: 'combined',
    timeUs,
    stepUs: SECOND_US,
    ...parts,
    host: null,
    fields: fieldsOf(referer && orNull(referer.text), agent && orNull(agent.text)),
    hasAllFields: false,
    hasCredentials: false,
    address: addressOf(line.slice(0, open)),
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

/** Before ` - user`; a list where Traefik was told of hops before it. */
function addressOf(head: string): string | null {
  const dash = head.indexOf(' - ')
  const end = dash === -1 ? head.indexOf(' ') : dash
  return orNull(end === -1 ? head : head.slice(0, end))
}
