import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { refuseSocket } from './refuse-socket.ts'
import type { Timers } from './timers.ts'

/** The open WebSockets of a server. */
export type Sockets = {
  /** Tells each peer that the server goes away (1001), and cuts those that do not answer. */
  close(): void
}

const MAX_MESSAGE_BYTES = 1024 * 1024
const PING_MS = 30_000

/** Echoes WebSocket messages on `/ws`, text as text and binary as binary; any other upgrade is answered 404. */
export function createSockets({ server, timers }: { readonly server: Server; readonly timers: Timers }): Sockets {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, clientTracking: true })
  sockets.on('connection', (socket) => echo(socket, timers))
  sockets.on('wsClientError', (_error, socket) => {
    refuseSocket(socket, 400, 'The WebSocket handshake is not as RFC 6455 section 4.2.1 wants it.')
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node has taken its own listener away; without one, a client's reset would end the process.
    socket.on('error', () => socket.destroy())
    if (request.url?.split('?')[0] !== '/ws') return refuseSocket(socket, 404, 'WebSockets are on /ws only.')
    sockets.handleUpgrade(request, socket, head, (open) => sockets.emit('connection', open, request))
  })
  return {
    close() {
      for (const socket of sockets.clients) {
        socket.close(1001)
        const cancel = timers.after(1000, () => socket.terminate())
        socket.once('close', cancel)
      }
      sockets.close()
    },
  }
}

function echo(socket: WebSocket, timers: Timers): void {
  let alive = true
  let cancelPing = timers.after(PING_MS, ping)
  function ping(): void {
    // No answer to the last ping: half open, its peer is gone without a word.
    if (!alive) {
      socket.terminate()
      return
    }
    alive = false
    socket.ping()
    cancelPing = timers.after(PING_MS, ping)
  }
  socket.on('pong', () => {
    alive = true
  })
  socket.on('message', (data: RawData, isBinary: boolean) => {
    socket.send(data, { binary: isBinary }, () => socket.resume())
    // A peer that sends and does not read fills no memory: nothing more is read from it until the echo is out.
    if (socket.bufferedAmount > MAX_MESSAGE_BYTES) socket.pause()
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => cancelPing())
}
