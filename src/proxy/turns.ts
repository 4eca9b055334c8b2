import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** While more requests than this wait on a connection, it is not read. */
const MAX_WAITING = 8

/**
 * One read of a connection may bring more than that, all of which node parses. A client that has more than this many
 * waiting is cut off: what node keeps of each would be memory that one client decides on.
 */
const MAX_READ_AHEAD = 64

export type Turns = {
  /** Calls `serve` once the responses before this one have been sent; never where the connection ends before. */
  await(request: IncomingMessage, response: ServerResponse, serve: () => void): void
  /** Whether a request waits behind the one that is being served. */
  isAwaited(socket: Socket): boolean
  /** Takes out the request that waits with an incomplete body, where there is one: the body will not become complete. */
  dropIncomplete(socket: Socket): ServerResponse | null
  /** A request that will get no response, which node keeps nevertheless. */
  noteUnanswered(socket: Socket): void
}

type Line = { readonly waiting: Map<ServerResponse, IncomingMessage>; unanswered: number; isHeld: boolean }

/**
 * Requests that a client has sent before it had the response to the one before (pipelining, RFC 9112 section 9.3.2). They are
 * served one after the other, and few are read ahead, so that a connection costs a constant however much is sent on it.
 */
export function createTurns(): Turns {
  const lines = new WeakMap<Socket, Line>()

  function lineOf(socket: Socket): Line {
    const known = lines.get(socket)
    if (known !== undefined) return known
    const line: Line = { waiting: new Map(), unanswered: 0, isHeld: false }
    lines.set(socket, line)
    // Node reads on whenever a request ends, whoever has paused the connection.
    socket.on('resume', () => {
      if (line.isHeld) socket.pause()
    })
    return line
  }

  function look(socket: Socket, line: Line): void {
    if (line.waiting.size + line.unanswered > MAX_READ_AHEAD) return void socket.destroy()
    const isHeld = line.waiting.size > MAX_WAITING
    if (isHeld === line.isHeld) return
    line.isHeld = isHeld
    if (isHeld) socket.pause()
    else socket.resume()
  }

  return {
    await(request, response, serve) {
      const { socket } = request
      const line = lineOf(socket)
      line.waiting.set(response, request)
      response.once('socket', () => {
        // One that was dropped has been refused meanwhile.
        if (!line.waiting.delete(response)) return
        look(socket, line)
        serve()
      })
      look(socket, line)
    },
    isAwaited: (socket) => (lines.get(socket)?.waiting.size ?? 0) > 0,
    dropIncomplete(socket) {
      const line = lines.get(socket)
      for (const [response, request] of line?.waiting ?? []) {
        if (request.complete) continue
        line!.waiting.delete(response)
        return response
      }
      return null
    },
    noteUnanswered(socket) {
      const line = lineOf(socket)
      line.unanswered++
      look(socket, line)
    },
  }
}
