import type { UpstreamPolicy } from '../../policy/types.ts'
import { compileConnect } from './connect.ts'
import { Connection, type ConnectionUser } from './connection.ts'
import { type ForwardFailure, failureOf } from './failure.ts'

export type Pool = {
  /** Sends a request as soon as there is a connection for it; `onFault` with 503 when too many wait. */
  submit(user: ConnectionUser): void
  /** A request that waits is not wanted any more. */
  forget(user: ConnectionUser): void
  /** The answer on this connection is one that lasts: it leaves its place to others while there is room for streams. */
  setApart(connection: Connection): void
  /** Ends all connections; what is under way on them fails. */
  close(): Promise<void>
}

/** How often (milliseconds) the times of all connections are looked at. */
const SWEEP = 50

const CLOSING: ForwardFailure = {
  status: 502,
  error: 'destination_unavailable',
  detail: 'The proxy is closing.',
  cause: null,
}

/**
 * Keep-alive connections, the one used last first. At most `max_connections` are busy or idle, event streams not counted;
 * `max_queue` requests wait in order.
 */
export function createPool(upstream: UpstreamPolicy): Pool {
  const connect = compileConnect(upstream)
  const connections = new Set<Connection>()
  const idle: Connection[] = []
  const waiting = new Set<ConnectionUser>()
  let busy = 0
  let streams = 0
  let sweeper: NodeJS.Timeout | undefined
  let isClosed = false

  const owner = { released, gone }

  function submit(user: ConnectionUser): void {
    if (busy < upstream.maxConnections && !isClosed) return start(user)
    if (waiting.size < upstream.maxQueue && !isClosed) return void waiting.add(user)
    const detail = `All ${upstream.maxConnections} connections to the upstream are busy and ${upstream.maxQueue} requests wait.`
    user.onFault({ status: 503, error: 'connection_limit_reached', detail, cause: null })
  }

  function start(user: ConnectionUser): void {
    busy++
    const connection = idle.pop()
    if (connection === undefined) open(user)
    else connection.use(user)
  }

  function open(user: ConnectionUser): void {
    try {
      connections.add(new Connection(connect, user, owner, upstream))
    } catch (cause) {
      busy--
      return user.onFault(failureOf(cause as Error))
    }
    sweeper ??= setInterval(sweep, SWEEP).unref()
  }

  function released(connection: Connection): void {
    // One that was apart has no place to come back to where others have taken them all.
    if (connection.isStream && busy + idle.length >= upstream.maxConnections) return connection.close()
    leave(connection)
    idle.push(connection)
    next()
  }

  function gone(connection: Connection, again: ConnectionUser | null): void {
    connections.delete(connection)
    const at = idle.lastIndexOf(connection)
    if (at !== -1) return void idle.splice(at, 1)
    // Not over another idle one: that may be as dead as this.
    if (again !== null) return open(again)
    leave(connection)
    next()
  }

  function leave(connection: Connection): void {
    if (connection.isStream) streams--
    else busy--
    connection.isStream = false
  }

  function next(): void {
    if (waiting.size === 0 || busy >= upstream.maxConnections) return
    const [user] = waiting
    waiting.delete(user!)
    start(user!)
  }

  function sweep(): void {
    const now = performance.now()
    for (const connection of connections) connection.sweep(now)
    if (connections.size > 0) return
    clearInterval(sweeper)
    sweeper = undefined
  }

  return {
    submit,
    forget: (user) => void waiting.delete(user),
    setApart(connection) {
      if (connection.isStream || streams >= upstream.maxStreams) return
      connection.isStream = true
      streams++
      busy--
      next()
    },
    async close() {
      isClosed = true
      const left = [...connections]
      const waited = [...waiting]
      waiting.clear()
      const closed = left.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)))
      for (const user of waited) user.onFault(CLOSING)
      for (const connection of left) connection.fail(CLOSING)
      clearInterval(sweeper)
      await Promise.all(closed)
    },
  }
}
