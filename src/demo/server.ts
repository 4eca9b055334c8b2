import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { Logger } from 'pino'
import { type Backend, openBackend } from './backend.ts'
import { createHttpServer, type HttpServer } from './http-server.ts'
import { createJobs } from './jobs.ts'
import { createRoutes } from './routes.ts'
import { type DemoSettings, defaultSettings } from './settings.ts'
import { createSockets } from './sockets.ts'
import { systemTimers, type Timers } from './timers.ts'

/** The demo upstream: what a proxy may stand in front of. */
export type Demo = {
  /**
   * Listens and begins to work on jobs; whether queue and storage are there yet or not. Rejects with a SluiceError
   * `listen_failed`, or `usage` for a setting that cannot be. Once only.
   */
  start(): Promise<{ readonly url: string }>
  /** Takes nothing new, ends streams, lets what is in flight finish within `graceMs`, leaves no timer. Never rejects. */
  close(): Promise<void>
}

/** A person's settings, each with its default, and what tests put in the place of chance and time. */
export type DemoOptions = Partial<DemoSettings> & {
  readonly log: Logger
  readonly timers?: Timers
  /** Uniform in [0, 1): the third party's failures and the jitter. */
  readonly random?: () => number
  readonly newId?: () => string
  /** How long `close` lets requests finish, in milliseconds. */
  readonly graceMs?: number
  readonly maxUsers?: number
}

const GRACE_MS = 2000
/** What a demo keeps of users at most. */
export const MAX_USERS = 10_000

/** Puts the demo together; nothing runs before `start`. */
export function createDemo(options: DemoOptions): Demo {
  const { log, timers = systemTimers, random = Math.random, newId = randomUUID, graceMs = GRACE_MS } = options
  const settings = { ...defaultSettings, ...options, maxUsers: options.maxUsers ?? MAX_USERS }
  const closing = new AbortController()
  // One listener for each open stream is no leak to be warned of.
  setMaxListeners(0, closing.signal)
  let closeParts = async () => {}

  async function start(): Promise<{ readonly url: string }> {
    const backend = await openBackend({ ...settings, log, timers, random })
    const http = createServer(backend)
    const sockets = createSockets({ server: http.server, timers })
    closeParts = async () => {
      sockets.close()
      await Promise.all([http.close(graceMs), backend.worker.close()])
      await backend.close()
    }
    const url = await http.listen(settings.host, settings.port).catch(async (cause: unknown) => {
      await backend.close()
      throw cause
    })
    backend.worker.start()
    return { url }
  }

  function createServer({ queue, storage, thirdParty, metrics }: Backend): HttpServer {
    const { users, records, keys } = storage
    const { conflictStatus } = settings
    const jobs = createJobs({ queue, records, timers })
    const parts = { users, conflictStatus, jobs, records, keys, thirdParty, newId, timers, log, metrics }
    const routes = createRoutes({ ...parts, closing: closing.signal })
    return createHttpServer((request, env) => routes.fetch(request, env), timers)
  }

  let closed: Promise<void> | undefined
  return {
    start,
    close() {
      closing.abort()
      closed ??= closeParts()
      return closed
    },
  }
}
