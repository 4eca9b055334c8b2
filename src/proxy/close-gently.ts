import type { Duplex } from 'node:stream'

/** How long (milliseconds) a client may go on sending after the last answer on its connection. */
const LINGER = 1000

/**
 * Ends a connection on which the client may still be sending. Closed at once, what is unread would make the kernel send a
 * reset, which overtakes the answer (RFC 9112 section 9.6): so the rest is read, to no end, for a while.
 */
export function closeGently(socket: Duplex): void {
  socket.end()
  socket.resume()
  const cut = setTimeout(() => socket.destroy(), LINGER)
  socket.once('close', () => clearTimeout(cut))
}
