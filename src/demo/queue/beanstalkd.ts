import jackd, { type JackdClient } from 'jackd'
import { TIMEOUT_MS, withTimeout } from '../with-timeout.ts'
import { leased } from './leased.ts'
import type { BackendOptions } from './options.ts'
import { checkSize, type Message, type Queue, type Reservation } from './queue.ts'
import { unavailable } from './unavailable.ts'

/** The package is CommonJS whose types promise a default export that Node does not see. */
const Jackd = jackd as unknown as typeof JackdClient
const DEFAULT_PORT = 11_300
/** A wait is asked for anew so often: a server that is gone without a word is noticed. */
const RESERVE_SECONDS = 20
/** Smaller is more urgent. What has waited for its retry goes before what has just come. */
const PRIORITY = { fresh: 1024, retried: 512 }

type Job = Awaited<ReturnType<JackdClient['reserve']>>

type Connection = {
  readonly client: JackdClient
  /** Runs one command; any failure but the server's own answer ends the connection. */
  run<T>(command: (client: JackdClient) => Promise<T>, timeoutMs?: number): Promise<T>
  isOpen(): boolean
  close(): void
}

/**
 * The queue in Beanstalkd, by jackd: a tube of the queue's name. A waiting `reserve` blocks its connection, and a
 * message belongs to the connection that reserved it; so each worker has one of its own, and when a worker dies the
 * server gives its message to another at once. Connects when needed.
 */
export function createBeanstalkdQueue({ url, name, maxMessages, leaseMs }: BackendOptions): Queue {
  const { hostname, port } = new URL(url)
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? DEFAULT_PORT : Number(port) }
  const ttr = Math.max(1, Math.ceil(leaseMs / 1000))
  const idle: Connection[] = []
  /** All that are there for workers: those that wait, those that hold a message, those that are idle. */
  const open = new Set<Connection>()
  let control: Connection | undefined
  /** Commands on the one connection for put and depth go one after the other. */
  let last: Promise<unknown> = Promise.resolve()
  let isClosed = false

  async function withControl<T>(call: (connection: Connection) => Promise<T>): Promise<T> {
    const turn = last.then(async () => {
      try {
        if (isClosed) throw new Error('it was closed')
        if (control === undefined || !control.isOpen()) control = await connect(address, name)
        return await call(control)
      } catch (error) {
        throw unavailable(url, error)
      }
    })
    last = turn.catch(() => {})
    return turn
  }

  async function connectWorker(): Promise<Connection> {
    try {
      const connection = await connect(address, name)
      open.add(connection)
      return connection
    } catch (error) {
      throw unavailable(url, error)
    }
  }

  function end(connection: Connection): void {
    open.delete(connection)
    connection.close()
  }

  async function reserveOn(connection: Connection): Promise<Reservation | undefined> {
    const found = await nextOn(connection)
    if (found === undefined) return undefined
    // From here the lease is counted: the answer may have lain unread for a while.
    const fromMs = performance.now()
    await connection.run((client) => client.touch(found.id))
    const stats = await connection.run((client) => client.statsJob(found.id))
    return reservationOf(connection, found.id, decode(found.payload), countIn(stats, 'reserves'), fromMs)
  }

  function reservationOf(
    connection: Connection,
    id: string,
    message: Message,
    attempt: number,
    fromMs: number,
  ): Reservation {
    // Unsettled at the end of its lease: the server has taken the message back, and the connection is to be had again.
    let watchdog = setTimeout(() => end(connection), ttr * 1000)

    async function settle(command: (client: JackdClient) => Promise<void>): Promise<void> {
      clearTimeout(watchdog)
      try {
        await connection.run(command)
      } catch (error) {
        // It is not ours any more, so there is nothing to settle.
        if (messageOf(error) !== 'NOT_FOUND') throw unavailable(url, error)
      } finally {
        if (connection.isOpen() && !isClosed) idle.push(connection)
        else end(connection)
      }
    }

    async function extend(): Promise<void> {
      await connection.run((client) => client.touch(id))
      clearTimeout(watchdog)
      watchdog = setTimeout(() => end(connection), ttr * 1000)
    }

    return leased({
      message,
      attempt,
      leaseMs: ttr * 1000,
      fromMs,
      extend,
      done: () => settle((client) => client.delete(id)),
      retry: (delayMs) =>
        settle((client) => client.release(id, { priority: PRIORITY.retried, delay: Math.ceil(delayMs / 1000) })),
      bury: () => settle((client) => client.bury(id, PRIORITY.fresh)),
    })
  }

  return {
    async put(message) {
      checkSize(message)
      return withControl(async (connection) => {
        const { ready, delayed, reserved } = await depthOn(connection, name)
        if (ready + delayed + reserved >= maxMessages) return 'full'
        await connection.run((client) => client.put(encode(message), { priority: PRIORITY.fresh, ttr }))
        return 'added'
      })
    },
    async reserve(signal) {
      while (!signal.aborted && !isClosed) {
        const free = idle.pop()
        if (free !== undefined && !free.isOpen()) {
          end(free)
          continue
        }
        const connection: Connection = free ?? (await connectWorker())
        // Closing it is the one way to end a wait; what the server was just handing out is ready again then.
        const stop = () => end(connection)
        signal.addEventListener('abort', stop, { once: true })
        if (signal.aborted || isClosed) stop()
        try {
          const reservation = await reserveOn(connection)
          if (reservation !== undefined && connection.isOpen()) return reservation
          if (connection.isOpen()) idle.push(connection)
        } catch (error) {
          end(connection)
          if (!signal.aborted && !isClosed) throw unavailable(url, error)
        } finally {
          signal.removeEventListener('abort', stop)
        }
      }
      return undefined
    },
    depth: () => withControl((connection) => depthOn(connection, name)),
    async close() {
      isClosed = true
      for (const connection of open) connection.close()
      await last
      control?.close()
    },
  }
}

/** Undefined when none came in time. */
async function nextOn(connection: Connection): Promise<Job | undefined> {
  try {
    const timeoutMs = RESERVE_SECONDS * 1000 + TIMEOUT_MS
    return await connection.run((client) => client.reserveWithTimeout(RESERVE_SECONDS), timeoutMs)
  } catch (error) {
    if (/^(TIMED_OUT|DEADLINE_SOON)$/.test(messageOf(error))) return undefined
    throw error
  }
}

async function connect(address: { host: string; port: number }, tube: string): Promise<Connection> {
  const client = new Jackd()
  let isOpen = true
  let why: Error = new Error('the connection was closed')
  // jackd settles nothing that is under way when its connection ends.
  const ended = new Promise<never>((_resolve, reject) => {
    client.socket.on('close', () => {
      isOpen = false
      reject(why)
    })
  })
  ended.catch(() => {})
  client.socket.on('error', (error: Error) => {
    why = error
  })
  client.socket.setNoDelay(true)

  function close(): void {
    isOpen = false
    client.socket.destroy()
  }

  async function run<T>(command: (client: JackdClient) => Promise<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
    try {
      return await withTimeout(Promise.race([command(client), ended]), timeoutMs)
    } catch (error) {
      if (!/^[A-Z_]+$/.test(messageOf(error))) close()
      throw error
    }
  }

  const connection = { client, run, close, isOpen: () => isOpen }
  await run((client) => client.connect(address))
  await run((client) => client.use(tube))
  await run((client) => client.watch(tube))
  if (tube !== 'default') await run((client) => client.ignore('default'))
  return connection
}

async function depthOn(connection: Connection, tube: string) {
  const stats = await connection.run((client) => client.statsTube(tube))
  return {
    ready: countIn(stats, 'current-jobs-ready'),
    delayed: countIn(stats, 'current-jobs-delayed'),
    reserved: countIn(stats, 'current-jobs-reserved'),
    buried: countIn(stats, 'current-jobs-buried'),
  }
}

/** One line of the server's YAML: `reserves: 1`. */
function countIn(stats: string, key: string): number {
  const line = stats.split('\n').find((each) => each.startsWith(`${key}: `)) ?? ''
  const digits = line.slice(key.length + 2).trim()
  if (!/^\d+$/.test(digits)) throw new Error(`beanstalkd sent no count for ${key}`)
  return Number(digits)
}

/** The server numbers messages by itself; our id goes before the body. */
function encode({ id, body }: Message): string {
  return `${id}\n${body}`
}

function decode(payload: Buffer | string): Message {
  const text = payload.toString()
  const end = text.indexOf('\n')
  return { id: text.slice(0, end), body: text.slice(end + 1) }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
