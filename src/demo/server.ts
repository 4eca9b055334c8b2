import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { Logger } from 'pino'
import { createHttpServer } from './http-server.ts'
import { createMemoryJobRecords } from './job-records.ts'
import { createJobs } from './jobs.ts'
import { createMemoryQueue } from './queue/memory.ts'
import { createRoutes } from './routes.ts'
import { type DemoSettings, defaultSettings } from './settings.ts'
import { createSockets } from './sockets.ts'
import { createThirdParty } from './third-party.ts'
import { systemTimers, type Timers } from './timers.ts'
import { createMemoryUsers } from './users.ts'
import { createWorker } from './worker.ts'

/** The demo upstream: what a proxy may stand in front of. */
export type Demo = {
  /** Listens and begins to work on jobs. Rejects with a SluiceError `listen_failed`. Once only. */
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
  /** How many jobs wait at most, and of how many one can ask. */
  readonly maxJobs?: number
}

const GRACE_MS = 2000
const MAX_USERS = 10_000
const MAX_JOBS = 10_000
const CONCURRENCY = 10
const CALL_TIMEOUT_MS = 25_000
const LEASE_MS = 30_000

/** Puts the demo together; nothing runs before `start`. */
export function createDemo(options: DemoOptions): Demo {
  const { log, timers = systemTimers, random = Math.random, newId = randomUUID } = options
  const { graceMs = GRACE_MS, maxUsers = MAX_USERS, maxJobs = MAX_JOBS } = options
  const { host, port, conflictStatus, thirdPartyMs, thirdPartyFailures } = { ...defaultSettings, ...options }
  const closing = new AbortController()
  // One listener for each open stream is no leak to be warned of.
  setMaxListeners(0, closing.signal)

  const users = createMemoryUsers({ maxUsers })
  const records = createMemoryJobRecords({ maxJobs })
  const queue = createMemoryQueue({ maxMessages: maxJobs, leaseMs: LEASE_MS, timers })
  const thirdParty = createThirdParty({
    delayMs: thirdPartyMs,
    failureRate: thirdPartyFailures,
    random,
    timers,
    // Every job that is still tried, and as many that were called for within their requests.
    maxKeys: 2 * maxJobs,
  })
  const jobs = createJobs({ queue, records, timers, newId })
  const worker = createWorker({
    queue,
    records,
    thirdParty,
    timers,
    random,
    log,
    concurrency: CONCURRENCY,
    callTimeoutMs: CALL_TIMEOUT_MS,
  })
  const routes = createRoutes({
    users,
    conflictStatus,
    jobs,
    records,
    thirdParty,
    newId,
    timers,
    log,
    closing: closing.signal,
  })
  const http = createHttpServer((request, env) => routes.fetch(request, env), timers)
  const sockets = createSockets({ server: http.server, timers })

  let closed: Promise<void> | undefined
  async function close(): Promise<void> {
    closing.abort()
    sockets.close()
    await Promise.all([http.close(graceMs), worker.close()])
    await queue.close()
  }

  return {
    async start() {
      const url = await http.listen(host, port)
      worker.start()
      return { url }
    },
    close() {
      closed ??= close()
      return closed
    },
  }
}
