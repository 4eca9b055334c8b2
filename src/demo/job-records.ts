import { isFinished, type Job } from './job.ts'
import type { Page, Slice } from './paging.ts'

/** Keeps what callers see of the jobs; owned here, so that a database can stand behind it. The queue keeps the work. */
export type JobRecords = {
  /** Adds the job, or puts it in the place of the one with its id. */
  save(job: Job): Promise<void>
  get(id: string): Promise<Job | undefined>
  remove(id: string): Promise<void>
  /** Newest first. */
  page(page: Page): Promise<Slice<Job>>
}

/**
 * Keeps the jobs in memory. Above `maxJobs` the job that finished first is dropped; a job that has not finished never
 * is, for its caller still waits (how many of those there are is the queue's bound).
 */
export function createMemoryJobRecords({ maxJobs }: { readonly maxJobs: number }): JobRecords {
  const jobs = new Map<string, Job>()
  const finished = new Set<string>()

  function remove(id: string): void {
    jobs.delete(id)
    finished.delete(id)
  }

  return {
    async save(job) {
      jobs.set(job.id, job)
      if (isFinished(job)) finished.add(job.id)
      const [first] = finished
      if (jobs.size > maxJobs && first !== undefined) remove(first)
    },
    get: async (id) => jobs.get(id),
    remove: async (id) => remove(id),
    async page({ page, perPage }) {
      const newestFirst = [...jobs.values()].reverse()
      return { total: jobs.size, entries: newestFirst.slice((page - 1) * perPage, page * perPage) }
    },
  }
}
