import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import { buildConnector, type Dispatcher, Pool } from 'undici'
import { isHopByHop, nominatedFields } from '../http/hop-by-hop.ts'
import type { UpstreamPolicy } from '../policy/types.ts'

/** Why the upstream gave no answer, as RFC 9209 (Proxy-Status) names it, with the status the client gets for it. */
export type ForwardFailure = {
  readonly status: 502 | 503 | 504
  readonly error: string
  readonly detail: string
  readonly cause: unknown
}

export type ForwardOptions = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** Names and values in turn. */
  readonly fields: string[]
  readonly hasBody: boolean
  /** Given the upstream's status and end-to-end fields (names and values in turn), gives the fields to answer with. */
  readonly onAnswer: (status: number, fields: string[]) => string[]
  /** The upstream gave no answer, or broke off in the middle of one. Not called when the client has gone. */
  readonly onFailure: (failure: ForwardFailure) => void
}

export type Forwarder = {
  /** Sends the request upstream and streams the answer back, or calls `onFailure`. Never throws, never rejects. */
  forward(options: ForwardOptions): void
  close(): Promise<void>
}

/** Methods that may be sent again when a pooled connection turns out to be dead (RFC 9110 section 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])
const MAX_DISCARDED_BYTES = 1024 * 1024
const MAX_ANSWER_HEADER_BYTES = 64 * 1024

/**
 * Forwards over pooled keep-alive connections. At most `max_connections` requests are under way; `max_queue` more wait in
 * order, and beyond those a request fails at once with 503. Event streams stop counting among the former when they turn
 * out to be such, for they last: they have `max_streams` of their own.
 */
export function createForwarder(upstream: UpstreamPolicy): Forwarder {
  const pool = new Pool(upstream.url, {
    connections: upstream.maxConnections + upstream.maxStreams,
    connect: createConnector(upstream.connectTimeout),
    headersTimeout: upstream.responseTimeout,
    bodyTimeout: upstream.idleTimeout,
    keepAliveTimeout: upstream.keepAliveTimeout,
    keepAliveMaxTimeout: 600_000,
    maxHeaderSize: MAX_ANSWER_HEADER_BYTES,
    pipelining: 1,
  })
  const waiting: (() => void)[] = []
  let active = 0
  let streams = 0

  function forward(options: ForwardOptions): void {
    if (active < upstream.maxConnections) return start(options)
    if (waiting.length >= upstream.maxQueue) {
      const detail = `All ${upstream.maxConnections} connections to the upstream are busy and ${upstream.maxQueue} requests wait.`
      return options.onFailure({ status: 503, error: 'connection_limit_reached', detail, cause: null })
    }
    const run = () => {
      options.response.off('close', forget)
      start(options)
    }
    const forget = () => {
      const at = waiting.indexOf(run)
      if (at !== -1) waiting.splice(at, 1)
    }
    options.response.once('close', forget)
    waiting.push(run)
  }

  function start(options: ForwardOptions): void {
    active++
    let isStream = false
    let isReleased = false
    exchange(pool, options, {
      onHead(fields) {
        if (streams >= upstream.maxStreams || !isEventStream(fields)) return
        isStream = true
        streams++
        leave()
      },
      onEnd() {
        if (isReleased) return
        isReleased = true
        if (isStream) streams--
        else leave()
      },
    })
  }

  function leave(): void {
    active--
    waiting.shift()?.()
  }

  return { forward, close: () => pool.destroy() }
}

type ExchangeEvents = { onHead(fields: readonly string[]): void; onEnd(): void }

/** One request sent upstream and its answer brought back. `onEnd` is called once, whatever happens. */
function exchange(pool: Pool, options: ForwardOptions, events: ExchangeEvents): void {
  const { request, response, method } = options
  let abort: ((reason: Error) => void) | undefined
  let isOver = false
  let isRetried = false
  let hasBegun = false
  let hasData = false

  function over(): void {
    if (isOver) return
    isOver = true
    response.off('close', onClientGone)
    if (options.hasBody && !request.complete) discardRest(request)
    events.onEnd()
  }

  function onClientGone(): void {
    if (isOver) return
    over()
    abort?.(new Error('the client has gone'))
  }

  function fail(failure: ForwardFailure): void {
    if (isOver) return
    over()
    options.onFailure(failure)
  }

  const handler: Dispatcher.DispatchHandler = {
    onConnect(abortRequest) {
      abort = abortRequest as (reason: Error) => void
      if (isOver) abort(new Error('the client has gone'))
    },
    onResponseStarted() {
      hasBegun = true
    },
    onHeaders(status, rawFields, resume, reason) {
      if (isOver || (status >= 100 && status < 200)) return true
      const fields = endToEnd(rawFields, status)
      events.onHead(fields)
      try {
        response.writeHead(status, reason, options.onAnswer(status, fields))
      } catch (cause) {
        const detail = 'The upstream answered with a header that cannot be forwarded.'
        fail({ status: 502, error: 'http_protocol_error', detail, cause })
        abort?.(new Error(detail))
        return true
      }
      if (status === 204 || status === 304) {
        // Ends here: undici would miss the body that a 304's Content-Length tells of, and a wrong one is not for the client.
        over()
        response.end()
        return true
      }
      response.on('drain', resume)
      // Goes out before its body where that is not here yet: an event stream may be silent for long.
      process.nextTick(() => {
        if (!isOver && !hasData) response.flushHeaders()
      })
      return true
    },
    onData(chunk) {
      hasData = true
      return isOver || response.write(chunk)
    },
    onComplete() {
      if (isOver) return
      over()
      response.end()
    },
    onError(cause) {
      if (isOver) return
      if (!isRetried && !hasBegun && !options.hasBody && isStaleConnection(method, cause)) {
        isRetried = true
        dispatch()
        return
      }
      fail(failureOf(cause))
    },
  }

  function dispatch(): void {
    try {
      pool.dispatch(
        {
          path: options.path,
          method: method as Dispatcher.HttpMethod,
          headers: options.fields,
          // undici destroys the body it is given; through a pipe the client's connection outlives that and gets its answer.
          body: options.hasBody ? request.pipe(new PassThrough()) : null,
        },
        handler,
      )
    } catch (cause) {
      const detail = 'The request cannot be forwarded as it stands.'
      fail({ status: 502, error: 'proxy_internal_error', detail, cause })
    }
  }

  response.once('close', onClientGone)
  dispatch()
}

/**
 * Reads on, to no end, the body of a request that is answered already: unread it would stop the connection, where the
 * client's next request waits behind it. One that goes on for long is cut off, with its connection.
 */
function discardRest(request: IncomingMessage): void {
  let left = MAX_DISCARDED_BYTES
  request.unpipe()
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) request.destroy()
  })
  request.resume()
}

/** Connects as undici does, but for one thing: a connection's errors tell, as undici's own do, what it had read before. */
function createConnector(timeout: number): buildConnector.connector {
  const connect = buildConnector({ timeout })
  return (options, callback) =>
    connect(options, (...[failure, socket]) => {
      if (failure !== null) return callback(failure, null)
      socket.on('error', (cause) => Object.assign(cause, { socket: { bytesRead: socket.bytesRead } }))
      callback(null, socket)
    })
}

/** The upstream's fields that go on to the client, as strings. */
function endToEnd(rawFields: readonly Buffer[], status: number): string[] {
  const fields: string[] = []
  let connection: string | undefined
  for (let i = 0; i < rawFields.length; i += 2) {
    const name = rawFields[i]!.toString('latin1')
    const value = rawFields[i + 1]!.toString('latin1')
    const lower = name.toLowerCase()
    if (lower === 'connection') connection = connection === undefined ? value : `${connection},${value}`
    if (isHopByHop(lower)) continue
    // RFC 9110 section 8.6: a 204 has no length, not even a wrong one.
    if (status === 204 && lower === 'content-length') continue
    fields.push(name, value)
  }
  const nominated = nominatedFields(connection)
  if (nominated === null) return fields
  return fields.filter((_, i) => !nominated.has(fields[i - (i % 2)]!.toLowerCase()))
}

function isEventStream(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]!.toLowerCase() === 'content-type') return /^\s*text\/event-stream\b/i.test(fields[i + 1]!)
  }
  return false
}

type UpstreamError = Error & { readonly code?: string; readonly socket?: { readonly bytesRead?: number } }

/** Whether a request failed because its pooled connection had been closed meanwhile: it had carried answers before. */
function isStaleConnection(method: string, cause: UpstreamError): boolean {
  return IDEMPOTENT.has(method) && CLOSED.has(cause.code ?? '') && (cause.socket?.bytesRead ?? 0) > 0
}

const CLOSED = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** What an error of a connection to the upstream comes to. */
export function failureOf(cause: UpstreamError): ForwardFailure {
  const { name, code = '' } = cause
  // By its name: undici leaves the parser's errors without their code.
  const known = FAILURES[code] ?? (name === 'HTTPParserError' || code.startsWith('HPE_') ? NOT_HTTP : undefined)
  if (known !== undefined) return { status: known[0], error: known[1], detail: known[2], cause }
  return { status: 502, error: 'destination_unavailable', detail: 'The upstream cannot be reached.', cause }
}

type Failure = readonly [502 | 504, string, string]

/** Whatever the parser refuses. */
const NOT_HTTP: Failure = [502, 'http_protocol_error', "The upstream's answer is not HTTP."]

const TOO_LARGE: Failure = [502, 'http_response_header_section_size', "The upstream's header is too large."]

const FAILURES: Record<string, Failure> = {
  ECONNREFUSED: [502, 'connection_refused', 'The upstream refuses connections.'],
  ENOTFOUND: [502, 'dns_error', "The upstream's name has no address."],
  EAI_AGAIN: [502, 'dns_error', "The upstream's name could not be looked up."],
  ECONNRESET: [502, 'connection_terminated', 'The upstream closed the connection before it answered.'],
  EPIPE: [502, 'connection_terminated', 'The upstream closed the connection before it answered.'],
  UND_ERR_SOCKET: [502, 'connection_terminated', 'The upstream closed the connection before it answered.'],
  UND_ERR_CONNECT_TIMEOUT: [504, 'connection_timeout', 'The upstream did not accept a connection in time.'],
  UND_ERR_HEADERS_TIMEOUT: [504, 'http_response_timeout', 'The upstream did not answer in time.'],
  UND_ERR_BODY_TIMEOUT: [504, 'http_response_incomplete', 'The upstream stopped in the middle of its answer.'],
  // Also what undici makes of a header that it cannot parse once it has read a length there.
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: NOT_HTTP,
  UND_ERR_HEADERS_OVERFLOW: TOO_LARGE,
  HPE_HEADER_OVERFLOW: TOO_LARGE,
}
