import type { Duplex } from 'node:stream'

/** How often (milliseconds) it is looked whether the client still sends. */
const BEAT = 1000
/** A client that has gone on sending may pause for so many beats; one that never did is cut off with the first. */
const MAX_PAUSE = 5
/** No client is read for more beats than this, as in nginx (lingering_time). */
const MAX_BEATS = 30
/** Nor for more bytes. */
const MAX_BYTES = 256 * 1024 * 1024
/** So many connections at a time are read for that long; further ones for one beat. */
const MAX_LINGERING = 256

let lingering = 0

/**
 * Ends a connection on which the client may still be sending. Closed at once, what is unread would make the kernel send a
 * reset, which overtakes the response (RFC 9112 section 9.6): so the rest is read, to no end, for a while. A client that
 * reads nothing before it has sent all of a refused upload sees its response too.
 */
export function lingeringClose(socket: Duplex): void {
  socket.end()
  socket.resume()
  lingerOn(socket, false, () => socket.destroy())
}

/**
 * Calls `cut` when a client has been read for long enough, or sends nothing more. `isSending`: it owes a part of a body, and may
 * pause from the start. Ends with the connection, or by the function it gives.
 */
export function lingerOn(
  socket: Duplex & { readonly bytesRead?: number },
  isSending: boolean,
  cut: () => void,
): () => void {
  const maxBeats = lingering < MAX_LINGERING ? MAX_BEATS : 1
  lingering++
  const first = socket.bytesRead ?? 0
  let seen = socket.bytesRead
  let hasSent = isSending
  let silent = 0
  let beats = 0

  function look(): void {
    beats++
    const isSilent = socket.bytesRead === seen
    seen = socket.bytesRead
    hasSent ||= !isSilent
    silent = isSilent ? silent + 1 : 0
    const isOverlong = beats >= maxBeats || (seen ?? 0) - first > MAX_BYTES
    if (!isOverlong && silent < (hasSent ? MAX_PAUSE : 1)) return
    stop()
    cut()
  }

  function stop(): void {
    if (isStopped) return
    isStopped = true
    clearInterval(timer)
    socket.off('close', stop)
    lingering--
  }

  let isStopped = false
  const timer = setInterval(look, BEAT)
  socket.once('close', stop)
  return stop
}
