import type { Line } from '../line.ts'
import { fieldsOf, readRequestLine } from './combined.ts'
import { readIsoTime } from './log-time.ts'
import { quote } from './quote.ts'
import { orNull, readQuoted } from './quoted.ts'
import { noRequest, stoppedAt, type TextReader } from './reader.ts'

/** Time, request, and the four quoted fields behind it. */
const PARTS = 6

/**
 * Reads Envoy's default text format; the time is the request's start, the client is in X-Forwarded-For alone:
 *
 *     [2016-04-15T20:17:00.310Z] "POST /a HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "agent" "request id" "host" "tcp://10.0.2.1:80"
 *
 * Newer ones have more fields between the status and the quoted ones; these are told by their places from the first quote on.
 */
export const envoy: TextReader = { format: 'envoy', read: readEnvoy }

function readEnvoy(line: string): Line {
  const stop = (found: number, character: number, reason: string) =>
    stoppedAt('envoy', found / PARTS, character, reason)
  const close = line.indexOf('] "')
  if (line.charCodeAt(0) !== 0x5b || close === -1) return stop(0, 0, 'no time in brackets, then a request in quotes')
  const timeUs = readIsoTime(line.slice(1, close))
  const request = readQuoted(line, close + 2)
  if (timeUs === null) return stop(0, 1, `${quote(line.slice(1, close))} is not a time as 2016-04-15T20:17:00.310Z`)
  if (request === null) return stop(1, close + 2, 'the quotes of the request do not end')
  const parts = readRequestLine(request.text)
  if (parts === null) return noRequest(`${quote(request.text)} is no request line`)
  const quoted: (string | null)[] = []
  for (let at = line.indexOf(' "', request.end); at !== -1 && quoted.length < 4; ) {
    const field = readQuoted(line, at + 1)
    if (field === null) return stop(2 + quoted.length, at + 1, 'the quotes do not end')
    // Details of the response and why the transport failed may be quoted too, before the bytes; they hold no address.
    if (quoted.length > 0 || isFollowedByQuoted(line, field.end)) quoted.push(orNull(field.text))
    at = line.indexOf(' "', field.end)
  }
  if (quoted.length < 4) {
    const expected = 'X-Forwarded-For, User-Agent, request id and host'
    return stop(2 + quoted.length, line.length, `it ends before four fields in quotes: ${expected}`)
  }
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
