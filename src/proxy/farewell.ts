import type { Socket } from 'node:net'
import { lingeringClose } from './lingering-close.ts'
import { createFrameReader, goingAway } from './websocket-frames.ts'

/** What can end an open WebSocket tunnel by its own closing handshake. */
export type Farewell = {
  /** Tells both sides that this end goes away, each as soon as the frame it is being sent is whole. */
  begin(): void
  /** Whether `begin` was called: from then on the one side's end is not the other's. */
  hasBegun(): boolean
}

/**
 * Follows the frames of a tunnel from its first byte, beside the pipes, to know where a Close frame may stand: within
 * another it would be that one's payload. What turns out to be no WebSocket goes on as it was.
 */
export function createFarewell(client: Socket, upstream: Socket): Farewell {
  const down = createDirection(upstream, client, goingAway('server'))
  const up = createDirection(client, upstream, goingAway('client'))
  let hasBegun = false

  /** A connection is closed once a Close frame has gone each way over it (RFC 6455 section 7.1.1). */
  function settle(): void {
    if (down.isTold() && up.frames.hasClosed()) endOnce(client)
    if (up.isTold() && down.frames.hasClosed()) endOnce(upstream)
  }

  function ended(): void {
    endOnce(client)
    endOnce(upstream)
  }

  return {
    begin() {
      if (hasBegun || down.frames.isBroken() || up.frames.isBroken()) return
      hasBegun = true
      down.takeOver(settle, ended)
      up.takeOver(settle, ended)
      settle()
    },
    hasBegun: () => hasBegun,
  }
}

function endOnce(socket: Socket): void {
  if (socket.writable) lingeringClose(socket)
}

/** One direction of a tunnel: followed while a pipe moves its bytes, then taken over to end it at the end of a frame. */
function createDirection(from: Socket, to: Socket, close: Buffer) {
  const frames = createFrameReader()
  let isTold = false

  function follow(bytes: Buffer, start = 0): void {
    for (let at = start; at !== -1 && at < bytes.length; ) at = frames.frameEnd(bytes, at)
  }

  const watch = (bytes: Buffer): void => follow(bytes)
  from.on('data', watch)

  /** After its Close frame, the sender's own or ours, a receiver is sent nothing more (RFC 6455 section 5.5.1). */
  function tell(): void {
    isTold = true
    if (!frames.hasClosed() && to.writable) to.write(close)
  }

  /** Passes the frame under way on to its end. */
  function pass(bytes: Buffer): void {
    const end = isTold ? 0 : frames.frameEnd(bytes, 0)
    if (end === -1) return send(bytes)
    if (end > 0) {
      send(bytes.subarray(0, end))
      tell()
    }
    follow(bytes, end)
  }

  function send(bytes: Buffer): void {
    if (!to.writable || to.write(bytes)) return
    from.pause()
    to.once('drain', () => from.resume())
  }

  function takeOver(settle: () => void, ended: () => void): void {
    from.off('data', watch).unpipe(to)
    if (frames.isBetweenFrames()) tell()
    from.on('data', (bytes: Buffer) => {
      pass(bytes)
      settle()
    })
    from.once('end', ended)
    from.resume()
  }

  return { frames, isTold: () => isTold, takeOver }
}
