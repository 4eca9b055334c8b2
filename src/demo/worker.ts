import { setMaxListeners } from 'node:events'
import type { Logger } from 'pino'
import { backoffMs } from './backoff.ts'
import { isObject } from './body.ts'
import { deadJob, doneJob, failedJob, type Integration, isFinished, type Job, queuedJob, runningJob } from './job.ts'
import type { JobRecords } from './job-records.ts'
import { MAX_ATTEMPTS } from './jobs.ts'
import type { JobMetrics } from './metrics.ts'
import type { Message, Queue, Reservation } from './queue/queue.ts'
import type { CallOutcome, ThirdParty } from './third-party.ts'
import { pause, type Timers } from './timers.ts'

/** Does the jobs of a queue, several at a time. */
export type Worker = {
  start(): void
  /** Takes no more jobs, gives those it is at back to the queue, and resolves when it has let go of all. */
  close(): Promise<void>
}

/** What a worker stands on; it need not share a process with the routes. */
export type WorkerOptions = {
  readonly queue: Queue
  readonly records: JobRecords
  readonly thirdParty: ThirdParty
  readonly timers: Timers
  readonly random: () => number
  readonly log: Logger
  /** Jobs at a time. */
  readonly concurrency: number
  /** The longest to wait for the third party. */
  readonly callTimeoutMs: number
  /** The queue's lease. It is extended while a job is worked on, so that no two workers are at one. */
  readonly leaseMs: number
  readonly metrics?: JobMetrics
}

/** How long to leave a queue alone that failed. */
const QUEUE_AWAY_MS = 1000

/** A worker in this process. Nothing that a job, the third party or the queue does makes it stop or reject. */
export function createWorker(options: WorkerOptions): Worker {
  const { queue, records, thirdParty, timers, random, log, concurrency, callTimeoutMs, leaseMs, metrics } = options
  const closing = new AbortController()
  // One listener for each job at a time is no leak to be warned of.
  setMaxListeners(0, closing.signal)
  let lanes: Promise<void>[] = []
  let isAway = false

  async function work(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        const reservation = await queue.reserve(closing.signal)
        // Closing, or the queue is closed: it has no more for us.
        if (reservation === undefined) return
        isAway = false
        await keepHolding(reservation, perform)
      } catch (error) {
        // A reservation that could not be settled comes again when its lease ends.
        if (!isAway) log.error({ err: error }, 'the queue or the records failed')
        // Once for each outage, not once a second for each job at a time.
        isAway = true
        await pause(timers, QUEUE_AWAY_MS, closing.signal)
      }
    }
  }

  /** By the clock of people, which may step back. */
  function secondsSince(ms: number): number {
    return Math.max(0, timers.now() - ms) / 1000
  }

  /** Extends the lease while `work` is at it. */
  async function keepHolding(reservation: Reservation, work: (held: Reservation) => Promise<void>): Promise<void> {
    let cancel = timers.after(leaseMs / 3, beat)
    function beat(): void {
      // A lease that cannot be extended ends, and the job is another's: no reason to stop, for the key makes it act once.
      reservation.extend().catch((error: unknown) => log.debug({ err: error }, 'a lease was not extended'))
      cancel = timers.after(leaseMs / 3, beat)
    }
    try {
      await work(reservation)
    } finally {
      cancel()
    }
  }

  async function perform(reservation: Reservation): Promise<void> {
    const { message, attempt } = reservation
    const integration = readIntegration(message)
    if (integration === undefined) {
      log.error({ job: message.id }, 'a message is not readable, and never will be')
      return reservation.bury()
    }
    const known = await records.get(message.id)
    // It was finished before and could not be settled then, or came twice.
    if (known !== undefined && isFinished(known))
      return known.state === 'done' ? reservation.done() : reservation.bury()
    const before = known ?? queuedJob(message.id, integration.partner, MAX_ATTEMPTS, timers.now())
    // Counted by the record where there is one, for there an attempt cut short by a shutdown does not count.
    const attempts = (known?.attempts ?? attempt - 1) + 1
    // The last attempt's worker died in it: whatever the job does to its workers, it does no more.
    if (attempts > before.max_attempts) return giveUp(reservation, before, 'the last attempt did not end')
    const job = runningJob(before, attempts, timers.now())
    await records.save(job)
    const begunMs = timers.now()
    const outcome = await callInTime(message.id, integration)
    metrics?.attempted(outcome.kind, secondsSince(begunMs))
    if (outcome.kind === 'succeeded') {
      await records.save(doneJob(job, outcome.result, timers.now()))
      metrics?.finished('done', secondsSince(Date.parse(job.created_at)))
      return reservation.done()
    }
    if (outcome.kind === 'failed') return fail(reservation, job, outcome.error)
    await records.save(before)
    return reservation.retry(0)
  }

  /** 'aborted' when this worker closes, and only then. */
  async function callInTime(key: string, integration: Integration): Promise<CallOutcome> {
    const call = new AbortController()
    const stop = () => call.abort()
    const cancel = timers.after(callTimeoutMs, stop)
    closing.signal.addEventListener('abort', stop)
    if (closing.signal.aborted) stop()
    const outcome = await thirdParty.call(key, integration, call.signal)
    closing.signal.removeEventListener('abort', stop)
    cancel()
    if (outcome.kind !== 'aborted' || closing.signal.aborted) return outcome
    return { kind: 'failed', error: `the third party did not answer within ${callTimeoutMs} ms` }
  }

  async function fail(reservation: Reservation, job: Job, error: string): Promise<void> {
    if (job.attempts >= job.max_attempts) return giveUp(reservation, job, error)
    const delayMs = backoffMs(job.attempts, random)
    await records.save(failedJob(job, error, delayMs, timers.now()))
    return reservation.retry(delayMs)
  }

  async function giveUp(reservation: Reservation, job: Job, error: string): Promise<void> {
    log.warn({ job: job.id, attempts: job.attempts, error }, 'a job is dead')
    await records.save(deadJob(job, error, timers.now()))
    metrics?.finished('dead', secondsSince(Date.parse(job.created_at)))
    return reservation.bury()
  }

  return {
    start() {
      if (lanes.length > 0) throw new Error('the worker was started before')
      lanes = Array.from({ length: concurrency }, work)
    },
    async close() {
      closing.abort()
      await Promise.all(lanes)
    },
  }
}

function readIntegration({ body }: Message): Integration | undefined {
  try {
    const value: unknown = JSON.parse(body)
    if (!isObject(value) || typeof value.partner !== 'string') return undefined
    return { partner: value.partner, payload: value.payload }
  } catch {
    return undefined
  }
}
