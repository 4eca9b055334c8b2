import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { readAuthority } from './authority.ts'
import { requestNamesOf } from './fields.ts'
import { hasTooManyReadings } from './path-readings.ts'
import { parseTarget, type Target } from './target.ts'

/** What the steps of the proxy need to know of a request, read once. */
export type Facts = {
  readonly method: string
  readonly target: Target
  /** The authority (Host, or the absolute-form target's) in its one spelling, and its name alone (authority.ts). */
  readonly authority: string
  readonly host: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as received; `names` are the names in lower case, one for each pair. */
  readonly rawHeaders: readonly string[]
  readonly names: readonly string[]
  /** The fields (lower case) that could come once only: whom the request is counted for is read from them. */
  readonly singleFields: readonly string[]
  /** `1.1` or `1.0`. */
  readonly httpVersion: string
  readonly hasBody: boolean
  /** What the Expect field asks for: RFC 9110 section 10.1.1 knows only 100-continue. */
  readonly expectsContinue: boolean
}

/** Why a request is not served: an HTTP status and a sentence for the problem document. */
export type Refusal = {
  readonly status: 400 | 405 | 414 | 417 | 431 | 501 | 505
  readonly detail: string
}

export type FactsOptions = {
  /** Header fields, and bytes of the request target, beyond which a request is refused. */
  readonly maxHeaders: number
  readonly maxTargetBytes: number
  /** Further fields (lower case) that may come once only, such as the API key's. */
  readonly singleFields: readonly string[]
}

/** Fields of which one value at most may come: a second one would be keyed by one party and believed by another. */
const SINGLE_FIELDS: readonly string[] = ['host', 'authorization', 'content-length']
/** Node's parser takes these for methods of RTSP and Icecast, whose request lines it reads as well; HTTP has none of them. */
const FOREIGN_METHODS = new Set([
  ...[
    'ANNOUNCE',
    'DESCRIBE',
    'FLUSH',
    'GET_PARAMETER',
    'PAUSE',
    'PLAY',
    'RECORD',
    'REDIRECT',
    'SET_PARAMETER',
    'SETUP',
  ],
  ...['SOURCE', 'TEARDOWN'],
])

/** Bytes of Connection: each name in it is looked for among the fields. */
const MAX_CONNECTION = 1024

/** What is read of a request: its head, as node has parsed it. */
export type RequestHead = Pick<
  IncomingMessage,
  'method' | 'url' | 'headers' | 'rawHeaders' | 'httpVersion' | 'httpVersionMajor' | 'httpVersionMinor'
>

/** What a request of another version or protocol is told. */
export const OTHER_PROTOCOL: Refusal = { status: 505, detail: 'Only HTTP/1.1 and HTTP/1.0 are spoken here.' }

/** Reads a request's facts, or says why it is refused. */
export function readFacts(request: RequestHead, options: FactsOptions): Facts | Refusal {
  const { headers, rawHeaders, url = '', method = '' } = request
  // Node's parser lets HTTP/0.9 and HTTP/2.0 through in a request line of HTTP/1.
  if (request.httpVersionMajor !== 1 || FOREIGN_METHODS.has(method)) return OTHER_PROTOCOL
  if (method === 'CONNECT' || method === 'TRACE') return { status: 405, detail: `${method} is not forwarded.` }
  if (rawHeaders.length > 2 * options.maxHeaders) {
    return { status: 431, detail: `More than ${options.maxHeaders} header fields.` }
  }
  if (url.length > options.maxTargetBytes) {
    return { status: 414, detail: `The request target is longer than ${options.maxTargetBytes} bytes.` }
  }
  if ((headers.connection?.length ?? 0) > MAX_CONNECTION) {
    return { status: 431, detail: `The Connection field is longer than ${MAX_CONNECTION} bytes.` }
  }
  if (hasTooManyReadings(pathOf(url))) {
    return { status: 414, detail: 'The path is too long for the number of ways in which it can be read.' }
  }
  const coding = headers['transfer-encoding']
  if (coding !== undefined) {
    const refusal = judgeCoding(coding, request.httpVersionMinor)
    if (refusal !== null) return refusal
  }
  const names = requestNamesOf(rawHeaders)
  if (names === null) return bad('A field has a name that reads like Content-Length or Transfer-Encoding.')
  const singleFields = options.singleFields.length === 0 ? SINGLE_FIELDS : [...SINGLE_FIELDS, ...options.singleFields]
  for (const field of singleFields) {
    const first = names.indexOf(field)
    if (first !== -1 && names.includes(field, first + 1)) return bad(`The field ${field} may come once only.`)
  }
  const target = parseTarget(url, method)
  if (target === null) return bad('The request target is malformed.')
  const length = headers['content-length']
  // Digits alone is what node's parser lets through; a length that is no exact number here is one that others may cut.
  if (length !== undefined && !Number.isSafeInteger(Number(length))) return bad('Content-Length is too large.')
  const named = readAuthority(headers.host ?? '')
  // Also beside an absolute-form target, which replaces it: RFC 9112 section 3.2 makes no exception.
  if (headers.host === undefined ? request.httpVersionMinor > 0 : named === null) {
    return bad('The Host field is missing or malformed.')
  }
  const authority = target.authority === null ? named : readAuthority(target.authority)
  if (authority === null || (authority.text === '' && request.httpVersionMinor > 0)) {
    return bad('The authority is empty or malformed.')
  }
  const { expect } = headers
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    return { status: 417, detail: 'Only 100-continue can be expected.' }
  }
  return {
    method,
    target,
    authority: authority.text,
    host: authority.host,
    headers,
    rawHeaders,
    names,
    singleFields,
    httpVersion: request.httpVersion,
    hasBody: hasBody(headers),
    // A client of HTTP/1.0 knows no 100 (RFC 9110 section 10.1.1).
    expectsContinue: expect !== undefined && request.httpVersionMinor > 0,
  }
}

export function isRefusal(facts: Facts | Refusal): facts is Refusal {
  return 'status' in facts
}

/**
 * What node's parser lets through of Transfer-Encoding and the next reader may see otherwise. A coding below `chunked` would
 * lose its name at this hop, and HTTP/1.0 knows none (RFC 9112 sections 6.1 and 7).
 */
function judgeCoding(coding: string, minorVersion: number): Refusal | null {
  if (minorVersion === 0) return bad('Transfer-Encoding does not exist in HTTP/1.0.')
  if (coding.toLowerCase() === 'chunked') return null
  if (!/^[\w-]+(?: *, *[\w-]+)*$/.test(coding) || /\bchunked *,/i.test(coding)) {
    return bad('Transfer-Encoding is malformed, or chunked is not its last coding.')
  }
  return { status: 501, detail: 'No transfer coding but chunked is understood.' }
}

function pathOf(url: string): string {
  const mark = url.indexOf('?')
  return mark === -1 ? url : url.slice(0, mark)
}

function bad(detail: string): Refusal {
  return { status: 400, detail }
}

/** Whether the framing promises a body (RFC 9112 section 6.3). */
export function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}
