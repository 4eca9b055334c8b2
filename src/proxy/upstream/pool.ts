import type { UpstreamPolicy } from '../../policy/types.ts'
import { compileConnect } from './connect.ts'
import { Connection, type ConnectionUser } from './connection.ts'
import { type ForwardFailure, failureOf } from './failure.ts'
import { createPlaces } from './places.ts'
import { createWaitQueue } from './wait-queue.ts'

export type Pool = {
  /** Sends a request as soon as there is a connection for it; `onFault` with 503 when too many wait, or it waits too long. */
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
 * `max_queue` requests wait, each `queue_timeout` at most. What a client may have of each is for places.ts to say.
 */
export function createPool(upstream: UpstreamPolicy): Pool {
  const connect = compileConnect(upstream)
  const connections = new Set<Connection>()
  const idle: Connection[] = []
  const { maxConnections, maxQueue, maxStreams, maxPerNetwork, queueTimeout } = upstream
  const places = createPlaces(maxConnections, maxPerNetwork)
  const queuePlaces = createPlaces(maxQueue, maxPerNetwork)
  const streamPlaces = createPlaces(maxStreams, maxPerNetwork)
  const waiting = createWaitQueue<ConnectionUser>()
  let sweeper: NodeJS.Timeout | undefined
  let isClosed = false

  const owner = { released, gone }

  function submit(user: ConnectionUser): void {
    if (isClosed) return user.onFault(CLOSING)
    if (places.isFreeFor(user)) return start(user)
    if (!queuePlaces.isFreeFor(user)) return user.onFault(noRoom(upstream))
    queuePlaces.take(user)
    waiting.add(user, performance.now())
  }

  function start(user: ConnectionUser): void {
    places.take(user)
    const connection = idle.pop()
    if (connection === undefined) open(user)
    else connection.use(user)
  }

  function open(user: ConnectionUser): void {
    try {
      connections.add(new Connection(connect, user, owner, upstream))
    } catch (cause) {
      places.giveBack(user)
      return user.onFault(failureOf(cause as Error))
    }
    sweeper ??= setInterval(sweep, SWEEP).unref()
  }

  function released(connection: Connection): void {
    // One that was apart has no place to come back to where others have taken them all.
    if (connection.isStream && places.used() + idle.length >= maxConnections) return connection.close()
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
    if (connection.isStream) streamPlaces.giveBack(connection.sharer)
    else places.giveBack(connection.sharer)
    connection.isStream = false
  }

  function next(): void {
    while (waiting.size > 0) {
      const user = waiting.next(places.isFreeFor)
      if (user === undefined) return
      queuePlaces.giveBack(user)
      start(user)
    }
  }

  function forget(user: ConnectionUser): void {
    if (waiting.remove(user)) queuePlaces.giveBack(user)
  }

  function sweep(): void {
    const now = performance.now()
    for (const user of waiting.takeOlder(now - queueTimeout)) {
      queuePlaces.giveBack(user)
      user.onFault(waitedTooLong(upstream))
    }
    for (const connection of connections) connection.sweep(now)
    if (connections.size > 0) return
    clearInterval(sweeper)
    sweeper = undefined
  }

  return {
    submit,
    forget,
    setApart(connection) {
      if (connection.isStream || !streamPlaces.isFreeFor(connection.sharer)) return
      connection.isStream = true
      streamPlaces.take(connection.sharer)
      places.giveBack(connection.sharer)
      next()
    },
    async close() {
      isClosed = true
      const left = [...connections]
      const waited = waiting.takeOlder(Number.POSITIVE_INFINITY)
      const closed = left.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)))
      for (const user of waited) user.onFault(CLOSING)
      for (const connection of left) connection.fail(CLOSING)
      clearInterval(sweeper)
      await Promise.all(closed)
    },
  }
}

function noRoom({ maxConnections }: UpstreamPolicy): ForwardFailure {
  const detail = `All of the ${maxConnections} connections to the upstream that this client may use are busy, and too many requests wait.`
  return {
    status: 503,
    error: 'connection_limit_reached',
    detail,
    cause: 'upstream.max_queue, upstream.max_per_network',
  }
}

function waitedTooLong({ queueTimeout }: UpstreamPolicy): ForwardFailure {
  const detail = `No connection to the upstream became free within ${queueTimeout} ms.`
  return { status: 503, error: 'connection_limit_reached', detail, cause: 'upstream.queue_timeout' }
}
