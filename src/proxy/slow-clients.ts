/** What is looked at of a client's connection: node's socket, or what stands for it in a test's simulated hour. */
export type ClientConnection = {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly writableLength: number
  destroy(): unknown
}

export type SlowClientOptions<Connection> = {
  /** Bytes a second; 0 for no such rate. */
  readonly minRate: number
  /** How long (milliseconds) a client may be slower than that. */
  readonly grace: number
  /** How long (milliseconds) a client may take nothing of what waits for it; holds where no rate does, too. */
  readonly patience: number
  /** Whether a body is awaited from the client, and nothing but the client delays it. */
  readonly isBodyAwaited: (connection: Connection) => boolean
  /** Whether what is sent to the client is held to the rate: event streams and tunnels are not. */
  readonly isRated: (connection: Connection) => boolean
  /** The body of the request comes too slowly. */
  readonly onSlowBody: (connection: Connection) => void
  /** Milliseconds, monotonic. */
  readonly nowMs: () => number
}

/** What is known of one client's speed. */
type Pace = { bytesIn: number; bytesOut: number; allowanceMs: number; stalledMs: number }

/** A client that was fast may pause for this long (milliseconds) beyond the grace; more is not saved up. */
const MAX_SAVED = 60_000
const LONGEST_SWEEP = 1000

/**
 * Cuts off clients that send a body, or read a response, so slowly that they hold a place for nothing. As in Apache's
 * mod_reqtimeout: a client has a grace, time that it is waited for is taken from it, and each second's worth of `minRate` that
 * comes or is taken adds a second. So a steady slow client lives for ever, one that pauses lives as long as it was fast before,
 * and one that drips does not. One sweep looks at all connections: none costs a timer.
 */
export function createSlowClients<Connection extends ClientConnection>(
  connections: ReadonlySet<Connection>,
  options: SlowClientOptions<Connection>,
) {
  const { minRate, grace, patience, nowMs } = options
  const paces = new WeakMap<Connection, Pace>()
  const interval = Math.max(1, Math.min(LONGEST_SWEEP, grace / 4, patience / 4))
  let lastMs = nowMs()

  function look(socket: Connection, elapsedMs: number): void {
    const waiting = socket.writableLength
    const isBodyAwaited = options.isBodyAwaited(socket)
    const bytesIn = socket.bytesRead
    const bytesOut = socket.bytesWritten - waiting
    const pace = paceOf(socket)
    const sent = bytesIn - pace.bytesIn
    const taken = bytesOut - pace.bytesOut
    pace.bytesIn = bytesIn
    pace.bytesOut = bytesOut
    if (waiting === 0 && !isBodyAwaited) {
      pace.allowanceMs = grace
      pace.stalledMs = 0
      return
    }
    pace.stalledMs = waiting > 0 && taken === 0 ? pace.stalledMs + elapsedMs : 0
    if (pace.stalledMs > patience) return void socket.destroy()
    const isReadingSlowly = waiting > 0 && options.isRated(socket)
    if (minRate === 0 || (!isReadingSlowly && !isBodyAwaited)) return
    const earnedMs = (1000 * (sent + taken)) / minRate
    pace.allowanceMs = Math.min(grace + MAX_SAVED, pace.allowanceMs + earnedMs) - elapsedMs
    if (pace.allowanceMs >= 0) return
    pace.allowanceMs = grace
    if (isBodyAwaited) options.onSlowBody(socket)
    else socket.destroy()
  }

  function paceOf(socket: Connection): Pace {
    const known = paces.get(socket)
    if (known !== undefined) return known
    const pace = { bytesIn: 0, bytesOut: 0, allowanceMs: grace, stalledMs: 0 }
    paces.set(socket, pace)
    return pace
  }

  /** Looks at all connections; a test calls it by its own clock. */
  function sweep(): void {
    const now = nowMs()
    // A process that stood still has read nothing: that is no client's fault.
    const elapsedMs = Math.min(now - lastMs, 4 * interval)
    lastMs = now
    for (const socket of connections) look(socket, elapsedMs)
  }

  const timer = setInterval(sweep, interval)
  timer.unref()
  return { sweep, close: () => clearInterval(timer) }
}
