import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { namesOf } from '../http/fields.ts'

/** What RFC 6455 section 1.3 has a server put behind the client's key. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The one key of a handshake's fields (names and values in turn), or null: without one no answer opens a tunnel. */
function keyOf(fields: readonly string[]): string | null {
  const names = namesOf(fields)
  const at = names.indexOf('sec-websocket-key')
  return at === -1 || names.includes('sec-websocket-key', at + 1) ? null : fields[2 * at + 1]!
}

/**
 * Why a 101 does not open the tunnel that these fields ask for, or null where it does (RFC 6455 section 4.1). An upstream that
 * has not understood the handshake would read the client's next bytes as something else, such as requests that nobody counts.
 */
export function handshakeFault({ headers }: IncomingMessage, fields: readonly string[]): string | null {
  const protocol = headers.upgrade
  if (protocol?.trim().toLowerCase() !== 'websocket') {
    return `Upgrade is ${JSON.stringify(protocol?.slice(0, 100) ?? '')}, not websocket`
  }
  const key = keyOf(fields)
  if (key === null) return 'the request has no Sec-WebSocket-Key, or two'
  const proof = createHash('sha1')
    .update(key + GUID)
    .digest('base64')
  return headers['sec-websocket-accept'] === proof ? null : 'Sec-WebSocket-Accept is not that of Sec-WebSocket-Key'
}

/**
 * Writes `head` in the place of the first thing that is written to a socket: http-proxy makes its request of an object, which
 * keeps neither the number nor the place of repeated fields, and node's client writes that request's head in one piece.
 */
export function writeInstead(socket: Socket, head: string): void {
  const write = socket.write
  socket.write = (_: unknown, ...rest: unknown[]) => {
    socket.write = write
    const done = rest.find((argument) => typeof argument === 'function') as (() => void) | undefined
    return socket.write(head, 'latin1', done)
  }
}
