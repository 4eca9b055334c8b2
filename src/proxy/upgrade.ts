import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import httpProxy from 'http-proxy'
import { type Fields, fieldsOf, namesOf } from '../http/fields.ts'
import { isHopByHop, nominatedFields } from '../http/hop-by-hop.ts'
import type { UpstreamPolicy } from '../policy/types.ts'
import { createFarewell, type Farewell } from './farewell.ts'
import { compileConnect, createPlaces, type ForwardFailure, failureOf, requestHead, type Sharer } from './forward.ts'
import { handshakeFault, writeInstead } from './handshake.ts'
import { lingeringClose } from './lingering-close.ts'

export type UpgradeOptions = Sharer & {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  /** Stands for the answer while there is no tunnel: a refusing upstream's, or our own. */
  readonly response: ServerResponse
  /** Path and query. */
  readonly path: string
  /** The handshake's fields as they go to the upstream, Connection and Upgrade included; names and values in turn. */
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
  const agent = Object.assign(new Agent({ keepAlive: false }), { createConnection })
  const proxy = httpProxy.createProxyServer({ target: 'http://upstream', agent, changeOrigin: false, xfwd: false })
  const open = new Set<Duplex>()
  const places = createPlaces(upstream.maxStreams, upstream.maxPerNetwork)
  const farewells = new Set<Farewell>()
  let isLeaving = false
  /** The head of the request that http-proxy is about to make, which connects while it is made. */
  let head = ''
  // http-proxy emits on itself what has no callback; without a listener that would end the process.
  proxy.on('error', () => {})

  function createConnection(): Socket {
    const socket = connect()
    writeInstead(socket, head)
    return socket
  }

  function upgrade(options: UpgradeOptions): void {
    const { request, socket } = options
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
    head = requestHead({ method: 'GET', path: options.path, fields: options.fields }, '')
    const { headers } = request
    // For http-proxy to see a handshake; what it makes of them is not sent.
    request.headers = { connection: 'Upgrade', upgrade: 'websocket' }
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
    proxy.ws(request, socket, options.head, {}, (cause) => exchange.fail(cause))
    request.headers = headers
    proxy.off('proxyReqWs', onRequest)
    exchange.judgeAnswers()
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
  }

  function keepEarly(bytes: Buffer): void {
    if (isSettled) return
    early.push(bytes)
    if (early.length > MAX_EARLY_READS) socket.pause()
  }

  function leave(): void {
    socket.destroy()
  }

  /**
   * Takes the place of http-proxy where the upstream refuses, for it writes the answer's head with a framing that the decoded body has
   * not; and lets it lay the tunnel only where the upstream has answered this handshake.
   */
  function judgeAnswers(): void {
    if (upstreamRequest === undefined) return
    const listeners = upstreamRequest.listeners('upgrade')
    upstreamRequest.removeAllListeners('response').once('response', refused)
    upstreamRequest.removeAllListeners('upgrade').once('upgrade', (answer, upstreamSocket, first) => {
      const fault = handshakeFault(answer, options.fields)
      if (fault !== null) return failed(upstreamSocket, fault)
      opened(answer, upstreamSocket)
      for (const lay of listeners) lay.call(upstreamRequest, answer, upstreamSocket, first)
    })
  }

  function failed(upstreamSocket: Socket, fault: string): void {
    upstreamSocket.on('error', () => {}).destroy()
    const detail = 'The upstream did not answer the WebSocket handshake as RFC 6455 asks.'
    settle({ status: 502, error: 'http_upgrade_failed', detail, cause: fault })
  }

  function refused(answer: IncomingMessage): void {
    const status = answer.statusCode ?? 502
    // To node it is an answer like any other where it lacks Upgrade or Connection; what follows it is no body.
    if (status === 101) return failed(answer.socket, 'the 101 lacks Connection: Upgrade or Upgrade: websocket')
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

  return { begin, judgeAnswers, fail }
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
