import type { Logger } from 'pino'
import { createHttpThirdParty } from './http-third-party.ts'
import { createDemoMetrics, type DemoMetrics } from './metrics.ts'
import { openQueue, queueKind } from './queue/index.ts'
import type { Queue } from './queue/queue.ts'
import type { DemoSettings } from './settings.ts'
import { openStorage } from './storage/index.ts'
import type { Storage } from './storage/storage.ts'
import { createThirdParty, type ThirdParty } from './third-party.ts'
import type { Timers } from './timers.ts'
import { createWorker, type Worker } from './worker.ts'

/** What the API and the workers have in common, in one process or in several. */
export type Backend = {
  readonly queue: Queue
  readonly storage: Storage
  readonly thirdParty: ThirdParty
  readonly worker: Worker
  readonly metrics: DemoMetrics
  /** Lets go of the jobs it is at, then of the rest. */
  close(): Promise<void>
}

export type BackendSettings = Omit<DemoSettings, 'host' | 'port' | 'conflictStatus'> & {
  readonly log: Logger
  readonly timers: Timers
  readonly random: () => number
  readonly maxUsers: number
}

const CALL_TIMEOUT_MS = 25_000

/** Opens what the settings name. Rejects with a SluiceError `usage` for what cannot be; what is only away may come. */
export async function openBackend(settings: BackendSettings): Promise<Backend> {
  const { log, timers, random, queueUrl, sqsEndpoint, maxJobs, maxUsers, leaseMs, concurrency } = settings
  const storage = await openStorage({
    redisUrl: redisUrlOf(settings),
    dataDir: settings.dataDir,
    maxUsers,
    maxJobs,
    timers,
  })
  const { records, messages } = storage
  const options = { url: queueUrl, maxMessages: maxJobs, leaseMs, log, timers, sqsEndpoint, journal: messages }
  const queue = await openQueue(options)
  const thirdParty = createThirdPartyOf(settings)
  const metrics = createDemoMetrics(queue)
  const worker = createWorker({
    queue,
    records,
    thirdParty,
    timers,
    random,
    log,
    concurrency,
    leaseMs,
    callTimeoutMs: CALL_TIMEOUT_MS,
    metrics: metrics.jobs,
  })
  return {
    queue,
    storage,
    thirdParty,
    worker,
    metrics,
    async close() {
      await worker.close()
      await queue.close()
      await storage.close()
    },
  }
}

/** Where users, jobs and keys are shared; undefined when they are not. */
export function redisUrlOf({ redisUrl, queueUrl }: Pick<DemoSettings, 'redisUrl' | 'queueUrl'>): string | undefined {
  return redisUrl ?? (queueKind(queueUrl) === 'redis' ? queueUrl : undefined)
}

function createThirdPartyOf(settings: BackendSettings): ThirdParty {
  const { thirdPartyUrl, thirdPartyMs, thirdPartyFailures, maxJobs, random, timers } = settings
  if (thirdPartyUrl !== undefined) return createHttpThirdParty({ url: thirdPartyUrl })
  return createThirdParty({
    delayMs: thirdPartyMs,
    failureRate: thirdPartyFailures,
    random,
    timers,
    // Every job that is still tried, and as many that were called for within their requests.
    maxKeys: 2 * maxJobs,
  })
}
