import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener, RequestError } from '@hono/node-server'
import { SluiceError } from '../errors.ts'
import { problem } from './problem.ts'
import { refuseSocket } from './refuse-socket.ts'
import type { Timers } from './timers.ts'

/** What answers the requests: a Hono application's `fetch`. */
export type Fetch = Parameters<typeof getRequestListener>[0]

/** Node's server, and its life. */
export type HttpServer = {
  readonly server: Server
  /** Listens and resolves to the server's URL; rejects with a SluiceError `listen_failed` that says what to do. */
  listen(host: string, port: number): Promise<string>
  /**
   * Accepts no more, drops connections without a request at once, lets requests finish for at most `graceMs`, then cuts
   * what is left. Upgraded connections are left to who upgraded them, and waited for. Never rejects.
   */
  close(graceMs: number): Promise<void>
}

/** Longer than a proxy's pool keeps a connection, so that it is the proxy that closes, never we under its request. */
const KEEP_ALIVE_MS = 75_000

/** A server over `fetch`. What never gets as far as a route is answered with a problem, too. */
export function createHttpServer(fetch: Fetch, timers: Timers): HttpServer {
  const answer = getRequestListener(fetch, {
    // The process may hold a proxy, too: its globals are not ours to change.
    overrideGlobalObjects: false,
    errorHandler: (error) =>
      error instanceof RequestError
        ? problem(400, { detail: 'The request target or the Host field is not valid.' })
        : problem(500, { detail: 'Something went wrong in the demo.' }),
  })
  /** Requests in flight on each connection. Node's own closeIdleConnections passes over those that never had one. */
  const inFlight = new Map<Socket, number>()

  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const { socket } = request
    inFlight.set(socket, (inFlight.get(socket) ?? 0) + 1)
    response.once('close', () => {
      const left = (inFlight.get(socket) ?? 1) - 1
      if (!socket.destroyed) inFlight.set(socket, left)
      if (!server.listening && left === 0) socket.destroySoon()
    })
    if (isPing(request)) ping(response)
    else void answer(request, response)
  })
  server.on('connection', (socket: Socket) => {
    inFlight.set(socket, 0)
    socket.once('close', () => inFlight.delete(socket))
  })
  server.on('upgrade', ({ socket }: IncomingMessage) => inFlight.delete(socket))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET') socket.destroy()
    else if (error.code === 'HPE_HEADER_OVERFLOW') refuseSocket(socket, 431, 'The header is too large.')
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') refuseSocket(socket, 408, 'The request took too long.')
    else refuseSocket(socket, 400, 'The request is not HTTP/1.1 as RFC 9112 wants it.')
  })

  return {
    server,
    listen: (host, port) => listen(server, host, port),
    close(graceMs) {
      return new Promise((resolve) => {
        const cancel = timers.after(graceMs, () => server.closeAllConnections())
        // Called with an error when it never listened: then there is nothing to wait for, either.
        server.close(() => {
          cancel()
          resolve()
        })
        for (const [socket, requests] of inFlight) if (requests === 0) socket.destroySoon()
      })
    },
  }
}

function listen(server: Server, host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    function fail(cause: NodeJS.ErrnoException): void {
      const why = cause.code === 'EADDRINUSE' ? 'the port is taken; choose another' : cause.message
      reject(new SluiceError('listen_failed', `cannot listen on ${authority(host, port)}: ${why}`, { cause }))
    }
    server.once('error', fail)
    server.listen(port, host, () => {
      server.off('error', fail)
      const { port: taken } = server.address() as AddressInfo
      resolve(`http://${authority(host, taken)}`)
    })
  })
}

function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** `OPTIONS *` asks about the server as a whole (RFC 9110 section 9.3.7); Hono knows only paths. */
function isPing({ method, url }: IncomingMessage): boolean {
  return method === 'OPTIONS' && url === '*'
}

function ping(response: ServerResponse): void {
  response.writeHead(204).end()
}
