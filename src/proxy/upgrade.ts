import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import httpProxy from 'http-proxy'
import { type Fields, fieldsOf, namesOf } from '../http/fields.ts'
import { isHopByHop, nominatedFields } from '../http/hop-by-hop.ts'
import type { UpstreamPolicy } from '../policy/types.ts'
import { createFarewell, type Farewell } from './farewell.ts'
import { compileConnect, createPlaces, type ForwardFailure, failureOf, type Sharer } from './forward.ts'
import { lingeringClose } from './lingering-close.ts'

export type UpgradeOptions = Sharer & {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  /** Stands for the answer while there is no tunnel: a refusing upstream's, or our own. */
  readonly response: ServerResponse
  /** Path and query. */
  readonly path: string
  /** End-to-end fields, names and values in turn. */
  readonly fields: readonly string[]
  /** Given the upstream's status and end-to-end fields, gives the fields to answer with, names and values in turn. */
  readonly onAnswer: (status: number, answer: Fields) => string[]
  readonly onFailure: (failure: ForwardFailure) => void
  /** The tunnel is open, or has ended. */
  readonly onOpen: () => void
  readonly onClose: () => void
}

export type Upgrader = {
  upgrade(options: UpgradeOptions): void
  /** Begins the closing handshake of every tunnel, open now or later; `close` is for those that do not end by it. */
  leave(): void
  /** Cuts the open tunnels. */
  close(): void
}

/**
 * Tunnels upgraded connections (RFC 9110 section 7.8, RFC 6455) by http-proxy's `ws`, behind guards for what it leaves
 * open: it listens for no error of the client's socket before the tunnel stands, sets no timer, forgets the upstream
 * request when the client goes, and passes a refusing upstream's answer on without its framing and repeated fields.
 */
export function createUpgrader(upstream: UpstreamPolicy): Upgrader {
  const { open: connect } = compileConnect(upstream)
  // http-proxy would take the name that a certificate is verified for from the client's Host: the connections are ours.
  const agent = Object.assign(new Agent({ keepAlive: false }), { createConnection: () => connect() })
  const proxy = httpProxy.createProxyServer({ target: 'http://upstream', agent, changeOrigin: false, xfwd: false })
  const open = new Set<Duplex>()
  const places = createPlaces(upstream.maxStreams, upstream.maxPerNetwork)
  const farewells = new Set<Farewell>()
  let isLeaving = false
  // http-proxy emits on itself what has no callback; without a listener that would end the process.
  proxy.on('error', () => {})

  function upgrade(options: UpgradeOptions): void {
    const { request, socket, head } = options
    if (!places.isFreeFor(options)) {
      const detail = `All of the ${upstream.maxStreams} upgraded connections that this client may use are in use.`
      const cause = 'upstream.max_streams, upstream.max_per_network'
      return options.onFailure({ status: 503, error: 'connection_limit_reached', detail, cause })
    }
    open.add(socket)
    places.take(options)
    // Each part of a tunnel watches for its end: more listeners than the ten from which on node warns of a leak.
    socket.setMaxListeners(20)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      open.delete(socket)
      places.giveBack(options)
    })
    request.headers = headersOf([...options.fields, 'Connection', 'Upgrade', 'Upgrade', 'websocket'])
    const exchange = guard(options, upstream, (farewell) => {
      farewells.add(farewell)
      socket.once('close', () => farewells.delete(farewell))
      // The pipes are laid within this turn.
      if (isLeaving) setImmediate(farewell.begin)
    })
    const onRequest = (upstreamRequest: ClientRequest, from: IncomingMessage) => {
      if (from === request) exchange.begin(upstreamRequest)
    }
    proxy.on('proxyReqWs', onRequest)
    proxy.ws(request, socket, head, {}, (cause) => exchange.fail(cause))
    proxy.off('proxyReqWs', onRequest)
    exchange.answerRefusals()
  }

  return {
    upgrade,
    leave() {
      isLeaving = true
      for (const farewell of farewells) farewell.begin()
    },
    close() {
      for (const socket of open) socket.destroy()
      proxy.close()
    },
  }
}

/** A client that sends this much before it is answered is read no further. */
const MAX_EARLY_READS = 16

/** The guards around one upgrade: a handshake timer, then an idle timer; either side's end is the other's. */
function guard(options: UpgradeOptions, upstream: UpstreamPolicy, onTunnel: (farewell: Farewell) => void) {
  const { response } = options
  const socket = options.socket as Socket
  const early: Buffer[] = []
  let upstreamRequest: ClientRequest | undefined
  let handshake: NodeJS.Timeout | undefined
  let isSettled = false

  function begin(begun: ClientRequest): void {
    upstreamRequest = begun
    // http-proxy joins and normalises the path; it is to be forwarded as it was decided on.
    upstreamRequest.path = options.path
    handshake = setTimeout(() => {
      const detail = 'The upstream did not answer the upgrade in time.'
      settle({ status: 504, error: 'http_response_timeout', detail, cause: null })
      begun.destroy()
    }, upstream.responseTimeout)
    socket.once('close', () => {
      clearTimeout(handshake)
      isSettled = true
      begun.destroy()
    })
    // Nobody reads the socket yet, and unread it would not tell that the client has gone.
    socket.on('data', keepEarly)
    socket.once('end', leave)
    begun.prependListener('upgrade', opened)
  }

  function keepEarly(bytes: Buffer): void {
    if (isSettled) return
    early.push(bytes)
    if (early.length > MAX_EARLY_READS) socket.pause()
  }

  function leave(): void {
    socket.destroy()
  }

  /** Takes the place of http-proxy, which writes a refusing answer's head with a framing that the decoded body has not. */
  function answerRefusals(): void {
    upstreamRequest?.removeAllListeners('response').once('response', refused)
  }

  function refused(answer: IncomingMessage): void {
    const status = answer.statusCode ?? 502
    socket.off('end', leave)
    try {
      response.writeHead(status, [...options.onAnswer(status, endToEnd(answer)), 'Connection', 'close'])
    } catch (cause) {
      const detail = 'The upstream answered with a header that cannot be forwarded.'
      settle({ status: 502, error: 'http_protocol_error', detail, cause })
      return void answer.destroy()
    }
    clearTimeout(handshake)
    isSettled = true
    socket.setTimeout(upstream.idleTimeout, () => socket.destroy())
    answer.on('error', () => socket.destroy())
    answer.pipe(response)
  }

  function opened(answer: IncomingMessage, upstreamSocket: Socket): void {
    clearTimeout(handshake)
    isSettled = true
    socket.off('data', keepEarly).off('end', leave).pause()
    if (early.length > 0) socket.unshift(Buffer.concat(early))
    // http-proxy writes the answer's head from here.
    const fields = options.onAnswer(101, endToEnd(answer))
    Object.assign(answer, { headers: linesOf([...fields, 'Connection', 'Upgrade', 'Upgrade', 'websocket']) })
    options.onOpen()
    socket.once('close', options.onClose)
    // Paused, so that what arrived with the answer waits for the pipe.
    const farewell = createFarewell(socket, upstreamSocket.pause())
    const endWith = (other: Socket) => () => {
      if (!farewell.hasBegun()) other.destroy()
      else if (other.writable) lingeringClose(other)
    }
    socket.once('close', endWith(upstreamSocket))
    upstreamSocket.once('close', endWith(socket))
    onTunnel(farewell)
    // Every byte of the tunnel, either way, is read from or written to the client's socket: one timer sees both.
    socket.setTimeout(upstream.idleTimeout, () => socket.destroy())
  }

  function fail(cause: unknown): void {
    settle(failureOf(cause as Error))
  }

  function settle(failure: ForwardFailure): void {
    clearTimeout(handshake)
    if (isSettled) return
    isSettled = true
    options.onFailure(failure)
  }

  return { begin, answerRefusals, fail }
}

/** An answer's end-to-end fields. */
function endToEnd({ rawHeaders, headers }: IncomingMessage): Fields {
  const nominated = nominatedFields(headers.connection)
  const names = namesOf(rawHeaders)
  return fieldsOf(
    rawHeaders.filter((_, i) => {
      const name = names[i >> 1]!
      return !isHopByHop(name) && !nominated?.has(name)
    }),
  )
}

/** Fields as the object that http-proxy writes an answer's head from: a line for each value. */
function linesOf(fields: readonly string[]): Record<string, string[]> {
  const lines: Record<string, string[]> = Object.create(null)
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    lines[name] ??= []
    lines[name].push(fields[i + 1]!)
  }
  return lines
}

/** Fields as the object that http-proxy reads: lower-case names, repeated ones joined, cookies by their own rule. */
function headersOf(fields: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null)
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    const before = headers[name]
    const separator = name === 'cookie' ? '; ' : ', '
    headers[name] = before === undefined ? fields[i + 1]! : before + separator + fields[i + 1]!
  }
  return headers
}
