import type { IncomingMessage, ServerResponse } from 'node:http'
import { isEventStream } from '../../http/event-stream.ts'
import type { FieldRoles } from '../../http/field-roles.ts'
import type { Fields } from '../../http/fields.ts'
import { isHopByHop, nominatedFields } from '../../http/hop-by-hop.ts'
import type { ResponseHead } from '../../http1/response-parser.ts'
import type { UpstreamPolicy } from '../../policy/types.ts'
import { endInOneWrite, type Pending, writeThisTurn } from '../write-turn.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { Connection, ConnectionUser } from './connection.ts'
import { type ForwardFailure, faultFailure } from './failure.ts'
import { type HeldBody, holdBody } from './held-body.ts'
import { informationHead } from './information.ts'
import type { Sharer } from './places.ts'
import type { Pool } from './pool.ts'
import { forwardableTrailers } from './trailers.ts'
import { discardRest, startUpload, type Upload } from './upload.ts'

export type ForwardOptions = Sharer & {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** Names and values in turn. */
  readonly fields: readonly string[]
  readonly hasBody: boolean
  /** Tells which trailers may go on. */
  readonly fieldRoles: FieldRoles
  /** Called for each trailer that is dropped since its name reads like a field that somebody trusts. */
  readonly onLookAlike: () => void
  /** The request is sent a second time. */
  readonly onRetry: () => void
  /** Given the upstream's status and end-to-end fields, gives the fields to answer with, names and values in turn. */
  readonly onAnswer: (status: number, answer: Fields) => string[]
  /** The upstream gave no answer, or broke off in the middle of one. Not called when the client has gone. */
  readonly onFailure: (failure: ForwardFailure) => void
}

/**
 * Methods that are sent again, once, when a pooled connection turns out to be dead. RFC 9110 section 9.2.2 allows all idempotent ones;
 * an upstream that counts, or creates, would still see a PUT or a DELETE twice where it closed behind the work.
 */
const REPEATABLE = new Set(['GET', 'HEAD'])
/** Methods that give a body no meaning: an upstream may leave it unread, and take it for the next request. */
const WITHOUT_CONTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE'])
/** Methods that mean something by a body: without one they say so (RFC 9110 section 8.6). */
const WITH_CONTENT = new Set(['POST', 'PUT', 'PATCH'])
/** A whole body up to this goes to the client in one string with its head, which is the cheapest way. */
const MAX_TEXT_BYTES = 16 * 1024

/** What may wait in memory: of one request's body, of one response, and of all of them together, in bytes. */
export type Buffers = {
  readonly requestBuffer: number
  readonly requestBudget: ByteBudget
  readonly responseBuffer: number
  readonly responseBudget: ByteBudget
}

/** One request sent upstream, and its answer brought back. */
export class Exchange implements ConnectionUser, Pending {
  readonly method: string
  readonly holder: string
  readonly network: string
  private readonly options: ForwardOptions
  private readonly upstream: UpstreamPolicy
  private readonly pool: Pool
  private connection: Connection | null = null
  private upload: Upload | null = null
  /** What of the request's body was read before there was a connection for it. */
  private heldBody: HeldBody | null = null
  /** Bytes of the response that wait for a slow client, and count in the budget. */
  private unsent = 0
  private isOver = false
  private isRepeated = false
  /** The head of the answer is written, but may still wait for a part of its body to go out with. */
  private isHeadHeld = false
  /** The whole body, one byte a character, where it goes out with the head at the end of this turn. */
  private text: string | null = null

  private readonly buffers: Buffers

  constructor(options: ForwardOptions, upstream: UpstreamPolicy, pool: Pool, buffers: Buffers) {
    this.options = options
    this.method = options.method
    this.holder = options.holder
    this.network = options.network
    this.upstream = upstream
    this.pool = pool
    this.buffers = buffers
  }

  begin(): void {
    const { request, response, hasBody } = this.options
    response.on('close', () => this.cancel())
    const { requestBuffer, requestBudget } = this.buffers
    if (!hasBody || requestBuffer === 0 || lengthOf(request) > requestBuffer) return this.pool.submit(this)
    this.heldBody = holdBody(request, requestBuffer, requestBudget, () => {
      // The client has been told meanwhile that its body is malformed, or too slow.
      if (response.headersSent) this.cancel()
      else this.pool.submit(this)
    })
  }

  /** The client has gone, or somebody else has answered it. */
  private cancel(): void {
    this.giveBackUnsent()
    if (this.isOver) return
    this.over()
    if (this.connection === null) this.pool.forget(this)
    else this.connection.close()
  }

  private over(): void {
    const { request, hasBody } = this.options
    this.isOver = true
    this.upload?.stop()
    this.heldBody?.release()
    if (hasBody && !request.readableEnded) discardRest(request)
  }

  onConnection(connection: Connection): void {
    this.connection = connection
  }

  onReady(): void {
    const { request, hasBody } = this.options
    const connection = this.connection!
    const { socket } = connection
    writeThisTurn(this)
    socket.cork()
    if (!hasBody) {
      const isLengthDue = WITH_CONTENT.has(this.method) && !hasLength(this.options.fields)
      socket.write(requestHead(this.options, isLengthDue ? 'Content-Length: 0\r\n' : ''), 'latin1')
      connection.sent(this.upstream.responseTimeout)
      return
    }
    const isChunked = !hasLength(this.options.fields)
    connection.hasOddBody = WITHOUT_CONTENT.has(this.method)
    // The head does not wait for the body, but goes with as much of it as is already here.
    socket.write(requestHead(this.options, isChunked ? 'Transfer-Encoding: chunked\r\n' : ''), 'latin1')
    const { idleTimeout, responseTimeout } = this.upstream
    const { fieldRoles, onLookAlike } = this.options
    this.upload = startUpload({
      request,
      connection,
      isChunked,
      fieldRoles,
      onLookAlike,
      idleTimeout,
      onEnd: () => connection.sent(responseTimeout),
      held: this.heldBody,
    })
  }

  /** At the end of the turn: the request's head, or the whole answer. */
  write(): void {
    if (this.text === null) this.connection?.socket.uncork()
    else endInOneWrite(this.options.response, this.text)
  }

  onDrain(): void {
    this.upload?.onDrain()
  }

  onWriteError(): void {
    const { request, hasBody } = this.options
    this.upload?.stop()
    if (hasBody && !request.readableEnded) discardRest(request)
  }

  onInformation(head: ResponseHead): void {
    const { request, response } = this.options
    // A client of HTTP/1.0 knows none (RFC 9110 section 15.2), and what 100 says is said by our own decision.
    if (head.status === 100 || request.httpVersionMinor === 0 || this.isOver || response.headersSent) return
    // Out of turn it would stand within another response; and it is not worth memory for a client that does not read.
    const { socket } = response
    if (socket?.writable && !socket.writableNeedDrain)
      socket.write(informationHead(head, endToEnd(head, false)), 'latin1')
  }

  onHead(head: ResponseHead, isLast: boolean): void {
    const { request, response, onAnswer } = this.options
    if (this.isOver) return
    // The client has been told something else meanwhile, such as that its body is malformed.
    if (response.headersSent) return this.cancel()
    this.connection!.wait(this.upstream.idleTimeout, 'body_timeout')
    const answer = endToEnd(head, this.method !== 'HEAD' && request.httpVersionMinor > 0)
    if (isEventStream(answer)) this.pool.setApart(this.connection!)
    try {
      response.writeHead(head.status, head.reason, onAnswer(head.status, answer))
    } catch (cause) {
      return this.connection!.fail(faultFailure('malformed', cause))
    }
    if (isLast) return this.finish()
    this.isHeadHeld = true
  }

  onBody(bytes: Buffer, from: number, to: number, isLast: boolean): void {
    if (this.isOver) return
    const { response } = this.options
    if (isLast) {
      this.over()
      const isShort = this.isHeadHeld && to - from <= MAX_TEXT_BYTES
      if (!isShort) return void response.end(copyOf(bytes, from, to))
      this.text = bytes.toString('latin1', from, to)
      // What a client sends wrong behind this must find the answer written.
      if (this.options.hasBody) this.write()
      else writeThisTurn(this)
      return
    }
    this.isHeadHeld = false
    if (response.write(copyOf(bytes, from, to)) || this.connection!.isStalled) return
    if (this.unsent === 0) response.once('drain', () => this.onClientDrain())
    if (!this.mayHold(to - from)) this.connection!.stall()
  }

  /** Whether so much more may wait for the client while the upstream goes on. */
  private mayHold(bytes: number): boolean {
    const { responseBuffer, responseBudget } = this.buffers
    if (this.unsent + bytes > responseBuffer || !responseBudget.take(bytes)) return false
    this.unsent += bytes
    return true
  }

  private onClientDrain(): void {
    this.giveBackUnsent()
    if (!this.isOver && this.connection!.isStalled) this.connection!.goOn()
  }

  private giveBackUnsent(): void {
    this.buffers.responseBudget.giveBack(this.unsent)
    this.unsent = 0
  }

  onEnd(trailers: Fields | null): void {
    if (this.isOver) return
    if (trailers !== null && trailers.fields.length > 0) addTrailers(this.options.response, trailers.fields)
    this.finish()
  }

  private finish(): void {
    this.over()
    this.options.response.end()
  }

  onPause(): void {
    if (!this.isHeadHeld) return
    // Goes out before its body where that is not here yet: an event stream may be silent for long.
    this.isHeadHeld = false
    this.options.response.flushHeaders()
  }

  mayRepeat(): boolean {
    if (this.isOver || this.isRepeated || this.options.hasBody || !REPEATABLE.has(this.method)) return false
    this.isRepeated = true
    this.options.onRetry()
    return true
  }

  onFault(failure: ForwardFailure): void {
    if (this.isOver) return
    this.over()
    const { response, onFailure } = this.options
    if (!response.headersSent) return onFailure(failure)
    // What has come goes out first, which node does in the next tick: then the client sees half an answer, not none.
    if (this.isHeadHeld) response.flushHeaders()
    process.nextTick(onFailure, failure)
  }

  onStall(): void {
    this.options.response.destroy()
  }
}

/** A request's head, as text of one byte a character. The parts have been checked where they came in. */
export function requestHead(request: Pick<ForwardOptions, 'method' | 'path' | 'fields'>, framing: string): string {
  const { method, path, fields } = request
  let head = `${method} ${path} HTTP/1.1\r\n`
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`
  return `${head}${framing}\r\n`
}

/** The length that a request's header gives; 0 where its body is chunked. */
function lengthOf({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? 0)
}

function hasLength(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.length === 14 && fields[i]!.toLowerCase() === 'content-length') return true
  }
  return false
}

/** The upstream's fields that go on to the client. `mayHaveTrailers`: the client knows them, and there may be a body. */
function endToEnd({ status, fields, names }: ResponseHead, mayHaveTrailers: boolean): Fields {
  const kept: string[] = []
  const keptNames: string[] = []
  let connection: string | undefined
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    const value = fields[2 * i + 1]!
    if (name === 'connection') connection = connection === undefined ? value : `${connection},${value}`
    // The client's side announces the same trailers, where its body is chunked too.
    if (isHopByHop(name) && !(name === 'trailer' && mayHaveTrailers && isChunked(status, names))) continue
    // RFC 9110 section 8.6: a 204 has no length, not even a wrong one.
    if (status === 204 && name === 'content-length') continue
    kept.push(fields[2 * i]!, value)
    keptNames.push(name)
  }
  const nominated = nominatedFields(connection)
  if (nominated === null) return { fields: kept, names: keptNames }
  return {
    fields: kept.filter((_, i) => !nominated.has(keptNames[i >> 1]!)),
    names: keptNames.filter((name) => !nominated.has(name)),
  }
}

function isChunked(status: number, names: readonly string[]): boolean {
  return status !== 204 && status !== 304 && names.includes('transfer-encoding')
}

/** Trailers go on where the answer is chunked; node leaves them out elsewhere. */
function addTrailers(response: ServerResponse, fields: readonly string[]): void {
  const trailers = forwardableTrailers(fields)
  const pairs: [string, string][] = []
  for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!])
  if (pairs.length > 0) response.addTrailers(pairs)
}

/** The buffer that was read into is read into again. */
function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  return Buffer.from(bytes.subarray(from, to))
}
