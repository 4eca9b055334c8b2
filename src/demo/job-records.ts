import { isFinished, type Job } from './job.ts'
import type { Page, Slice } from './paging.ts'
import { slice } from './paging.ts'
import type { Journal } from './storage/journal.ts'

/** Keeps what callers see of the jobs; owned here, so that a database can stand behind it. The queue keeps the work. */
export type JobRecords = {
  /** Adds the job, or puts it in the place of the one with its id. */
  save(job: Job): Promise<void>
  get(id: string): Promise<Job | undefined>
  remove(id: string): Promise<void>
  /** Newest first. */
  page(page: Page): Promise<Slice<Job>>
}

export type MemoryJobRecordsOptions = { readonly maxJobs: number; readonly journal?: Journal<Job> | undefined }

/**
 * Keeps the jobs in memory, and in the journal if there is one. Above `maxJobs` the job that finished first is dropped;
 * a job that has not finished never is, for its caller still waits (how many of those there are is the queue's bound).
 */
export function createMemoryJobRecords({ maxJobs, journal }: MemoryJobRecordsOptions): JobRecords {
  const jobs = new Map<string, Job>(journal?.entries)
  const finished = new Set([...jobs.values()].filter(isFinished).map(({ id }) => id))

  async function remove(id: string): Promise<void> {
    jobs.delete(id)
    finished.delete(id)
    await journal?.remove(id)
  }

  return {
    async save(job) {
      jobs.set(job.id, job)
      if (isFinished(job)) finished.add(job.id)
      await journal?.put(job.id, job)
      const [first] = finished
      if (jobs.size > maxJobs && first !== undefined) await remove(first)
    },
    get: async (id) => jobs.get(id),
    remove,
    page: async (page) => slice([...jobs.values()].reverse(), page),
  }
}
