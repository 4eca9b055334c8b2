import { type Line, NO_REQUEST, UNREADABLE } from '../line.ts'
import { fieldsOf, readRequestLine } from './combined.ts'
import { readIsoTime } from './log-time.ts'
import { orNull, readQuoted } from './quoted.ts'

/**
 * Reads Envoy's default text format; the time is the request's start, the client is in X-Forwarded-For alone:
 *
 *     [2016-04-15T20:17:00.310Z] "POST /a HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "agent" "request id" "host" "tcp://10.0.2.1:80"
 *
 * Newer ones have more fields between the status and the quoted ones; these are told by their places from the first quote on.
 */
export function readEnvoy(line: string): Line {
  const close = line.indexOf('] "')
  if (line.charCodeAt(0) !== 0x5b || close === -1) return UNREADABLE
  const timeUs = readIsoTime(line.slice(1, close))
  const request = readQuoted(line, close + 2)
  if (timeUs === null || request === null) return UNREADABLE
  const parts = readRequestLine(request.text)
  if (parts === null) return NO_REQUEST
  const quoted: (string | null)[] = []
  for (let at = line.indexOf(' "', request.end); at !== -1 && quoted.length < 4; ) {
    const field = readQuoted(line, at + 1)
    if (field === null) return UNREADABLE
    // Details of the response and why the transport failed may be quoted too, before the bytes; they hold no address.
    if (quoted.length > 0 || isFollowedByQuoted(line, field.end)) quoted.push(orNull(field.text))
    at = line.indexOf(' "', field.end)
  }
  if (quoted.length < 4) return UNREADABLE
  const [forwardedFor, agent, , host] = quoted
  return {
    kind: 'request',
    format: 'envoy',
    timeUs,
    stepUs: 1000,
    ...parts,
    host: host!,
    fields: fieldsOf(null, agent!),
    hasAllFields: false,
    hasCredentials: false,
    address: null,
    forwardedFor: forwardedFor!,
  }
}

function isFollowedByQuoted(line: string, end: number): boolean {
  return line.startsWith(' "', end)
}
