import type { Integration, Job } from './job.ts'
import { queuedJob } from './job.ts'
import type { JobRecords } from './job-records.ts'
import type { Queue } from './queue/queue.ts'
import type { Timers } from './timers.ts'

/** Takes jobs in and tells where they are. The worker does them. */
export type Jobs = {
  /**
   * Queues the integration as the job `id` and resolves at once; undefined when the queue is full, and then nothing is
   * left behind. Rejects when the queue or the records are away; then the same may be submitted again under its id.
   */
  submit(integration: Integration, id: string): Promise<Job | undefined>
}

/** What jobs stand on: a queue for the work, records for what callers see. */
export type JobsOptions = {
  readonly queue: Queue
  readonly records: JobRecords
  readonly timers: Timers
}

/** The third party is asked at most so often for one job. */
export const MAX_ATTEMPTS = 5

/** Jobs over a queue and records of any kind. */
export function createJobs({ queue, records, timers }: JobsOptions): Jobs {
  return {
    async submit(integration, id) {
      const job = queuedJob(id, integration.partner, MAX_ATTEMPTS, timers.now())
      // The record first: a worker may be done before `put` has even returned, and must find the job to say so.
      await records.save(job)
      try {
        const outcome = await queue.put({ id: job.id, body: JSON.stringify(integration) })
        if (outcome === 'added') return job
      } catch (error) {
        await records.remove(job.id)
        throw error
      }
      await records.remove(job.id)
      return undefined
    },
  }
}
