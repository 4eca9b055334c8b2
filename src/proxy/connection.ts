import { type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { hasBody } from '../http/facts.ts'
import { PROBLEM_TYPE, problemBody } from '../http/problem.ts'
import { lingeringClose } from './lingering-close.ts'

/**
 * What node's server leaves to whoever takes a connection from it: what it could not parse, and requests that ask for another
 * protocol, for which it makes no response and which it hands over before the answers ahead of them are sent.
 */

/** Why a request that could not be read is refused. */
export const MALFORMED = 'The request is not well-formed HTTP, or did not arrive in time.'

/** What node tells of a request that its parser refuses; `rawPacket` is the piece in which it gave up. */
export type ParseError = Error & { readonly code?: string; readonly rawPacket?: Buffer }

const STATUSES: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
}

/** The status to answer what could not be parsed with. */
export function statusOfParseError({ code = '', rawPacket }: ParseError, maxHeaderBytes: number): number {
  if (code === 'HPE_HEADER_OVERFLOW' && rawPacket !== undefined) {
    const line = rawPacket.subarray(0, maxHeaderBytes)
    if (!line.includes('\n') && /^[A-Z-]+ (?:\/|https?:)/i.test(line.toString('latin1', 0, 40))) return 414
  }
  return STATUSES[code] ?? 400
}

/** Answers what could not be parsed into a request, and closes: where the next one would begin nobody knows. */
export function refuseRaw(socket: Duplex, status: number, requestId: string): void {
  const body = problemBody({ status, detail: MALFORMED }, requestId)
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  lingeringClose(socket)
}

type Parser = { readonly getCurrentBuffer?: () => Buffer }

/**
 * Whether a request line names another protocol: node's parser reads those of RTSP as HTTP and does not tell. Looks into the piece
 * being parsed, so it sees none that came in two pieces; it copies the piece, so it is not for every request.
 */
export function isOtherProtocol({ method, url, socket }: IncomingMessage): boolean {
  const { parser } = socket as Socket & { readonly parser?: Parser | null }
  const text = parser?.getCurrentBuffer?.()?.toString('latin1') ?? ''
  const line = `${method} ${url} `
  return text.includes(`${line}RTSP/`) && !text.includes(`${line}HTTP/`)
}

/** Those for which nothing will be sent: their turn comes, as node sees it, but never their end. */
const unanswered = new WeakSet<ServerResponse>()

/** Leaves a request without an answer, for its connection ends with the answers before it. */
export function leaveUnanswered(request: IncomingMessage, response: ServerResponse): void {
  unanswered.add(response)
  request.resume()
}

/** The answer that is under way on a connection; node has no public name for it. */
export function answerUnderWay(socket: Duplex): ServerResponse | null {
  const answer = (socket as Duplex & { _httpMessage?: ServerResponse | null })._httpMessage ?? null
  return answer !== null && unanswered.has(answer) ? null : answer
}

/** Once a connection, however many requests come over it. */
function destroyOnError(socket: Duplex): void {
  if (!socket.listeners('error').includes(destroySelf)) socket.on('error', destroySelf)
}

function destroySelf(this: Duplex): void {
  this.destroy()
}

/** Goes on when the answers that are under way on a connection are sent; never where it ends before. */
export function whenAnswered(socket: Duplex, proceed: () => void): void {
  const answer = answerUnderWay(socket)
  if (answer === null) return proceed()
  // Node's own listener comes before this one: the next answer in line has taken its place by then.
  answer.once('finish', () => whenAnswered(socket, proceed))
  destroyOnError(socket)
}

/** A response for a connection that node has already detached from its server, as it does for upgrades and CONNECT. */
export function standInResponse(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket as Socket)
  response.once('finish', () => {
    response.detachSocket(socket as Socket)
    lingeringClose(socket)
  })
  destroyOnError(socket)
  socket.once('close', () => response.destroy())
  return response
}

/** Whether a request is one for a tunnel. One with a body is none: behind it the tunnel's bytes would begin nobody knows where. */
export function isWebSocket(request: IncomingMessage): boolean {
  return (
    request.method === 'GET' &&
    request.headers.upgrade?.trim().toLowerCase() === 'websocket' &&
    !hasBody(request.headers)
  )
}

/**
 * Whether node's server drops what arrived in one piece with the end of a request: it does (seen in 26.10) where it was told
 * to serve one plainly that asks for another protocol, and would then read the next piece as if a request began there.
 */
export function isFollowedByLoss(request: IncomingMessage): boolean {
  const { connection, upgrade } = request.headers
  return upgrade !== undefined && /\bupgrade\b/i.test(connection ?? '') && hasBody(request.headers)
}

/**
 * Gives a request that asks for another protocol back to the server as one that asks for none, as a server may take it
 * (RFC 9110 section 7.8): node has let go of its connection, with the body and all that follows unread.
 */
export function serveWithoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() !== 'upgrade') lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  server.emit('connection', socket)
}
