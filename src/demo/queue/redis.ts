import { randomUUID } from 'node:crypto'
import { type Job as BullJob, Queue as BullQueue, Worker as BullWorker } from 'bullmq'
import { Redis } from 'ioredis'
import { connectRedis, retryStrategy } from '../redis-connection.ts'
import { withTimeout } from '../with-timeout.ts'
import { leased } from './leased.ts'
import type { BackendOptions } from './options.ts'
import { checkSize, type Queue, type Reservation } from './queue.ts'
import { unavailable } from './unavailable.ts'
import { createWaiters } from './waiters.ts'

type Body = { readonly body: string }

/** How long a message put by another process may lie before this one sees it. */
const POLL_MS = 200
/** BullMQ keeps a job under its id beside its own keys, such as `delayed`: an id must not be one of those. */
const ID_PREFIX = 'job-'

/**
 * The queue in Redis, by BullMQ. Messages are BullMQ jobs of the same id, taken by hand
 * (https://docs.bullmq.io/patterns/manually-fetching-jobs), so that one worker of ours serves all backends. What is
 * put twice under one id is one message. Connects when it can, and again whenever the connection is lost.
 */
export function createRedisQueue({ url, name, maxMessages, leaseMs, log }: BackendOptions): Queue {
  const sender = connectRedis(url)
  // BullMQ's own rule for a connection that blocks: to wait as long as it takes.
  const taker = new Redis(url, { maxRetriesPerRequest: null, retryStrategy, lazyConnect: true })
  taker.on('error', () => {})
  taker.connect().catch(() => {})
  const queue = new BullQueue<Body>(name, { connection: sender.redis, skipVersionCheck: true })
  const worker = new BullWorker<Body>(name, null, {
    connection: taker,
    autorun: false,
    lockDuration: leaseMs,
    stalledInterval: Math.ceil(leaseMs / 2),
    // How often a message may lose its worker is for our worker to judge, which counts the attempts.
    maxStalledCount: 1_000_000,
    skipVersionCheck: true,
  })
  const note = (error: Error) => log.debug({ err: error }, 'the queue in Redis')
  queue.on('error', note)
  worker.on('error', note)
  void worker.startStalledCheckTimer()

  function ask<T>(call: () => Promise<T>): Promise<T> {
    return sender.ask(call).catch((error: unknown) => {
      throw unavailable(url, error)
    })
  }

  async function depth() {
    const counts = await queue.getJobCounts('wait', 'delayed', 'active', 'failed')
    const { wait = 0, delayed = 0, active = 0, failed = 0 } = counts
    return { ready: wait, delayed, reserved: active, buried: failed }
  }

  async function fetch(): Promise<readonly Reservation[]> {
    return ask(async () => {
      const fromMs = performance.now()
      const token = randomUUID()
      const job = await worker.getNextJob(token, { block: false })
      return job === undefined ? [] : [reservationOf(job, token, fromMs)]
    })
  }

  function reservationOf(job: BullJob<Body>, token: string, fromMs: number): Reservation {
    return leased({
      message: { id: job.id!.slice(ID_PREFIX.length), body: job.data.body },
      attempt: job.attemptsStarted,
      leaseMs,
      fromMs,
      extend: () => ask(async () => void (await job.extendLock(token, leaseMs))),
      done: () => ask(async () => void (await job.moveToCompleted(null, token, false))),
      retry: (delayMs) =>
        ask(async () => {
          if (delayMs > 0) await job.moveToDelayed(Date.now() + delayMs, token)
          else await job.moveToWait(token)
        }),
      bury: () => ask(async () => void (await job.moveToFailed(new Error('buried'), token, false))),
    })
  }

  const waiters = createWaiters({ fetch, idleMs: POLL_MS })
  const settings = { removeOnComplete: true, removeOnFail: { count: maxMessages }, attempts: 1 }
  return {
    async put(message) {
      checkSize(message)
      return ask(async () => {
        const { ready, delayed, reserved } = await depth()
        if (ready + delayed + reserved >= maxMessages) return 'full'
        await queue.add('integration', { body: message.body }, { ...settings, jobId: ID_PREFIX + message.id })
        waiters.wake()
        return 'added'
      })
    },
    reserve: (signal) => waiters.reserve(signal),
    depth: () => ask(depth),
    async close() {
      await waiters.close()
      // Their own goodbyes wait for a Redis that may be away.
      await Promise.allSettled([withTimeout(worker.close(true), 1000), withTimeout(queue.close(), 1000)])
      sender.close()
      taker.disconnect()
    },
  }
}
