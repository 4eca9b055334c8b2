/**
 * Where a job is: `queued` (not begun), `running`, `failed` (an attempt failed, another follows), and the two ends:
 * `done`, and `dead` (every attempt failed; a person must look).
 */
export type JobState = 'queued' | 'running' | 'failed' | 'done' | 'dead'

/** What the third party is asked to do. */
export type Integration = {
  readonly partner: string
  /** Any JSON. */
  readonly payload: unknown
}

/** What the third party answers. */
export type IntegrationResult = {
  readonly reference: string
  /** When the third party acted: the same however often it was asked. */
  readonly acted_at: string
}

/** A job as its caller may follow it. Times are ISO 8601 in UTC, null while they have no meaning. */
export type Job = {
  readonly id: string
  readonly state: JobState
  readonly partner: string
  /** Attempts begun. */
  readonly attempts: number
  readonly max_attempts: number
  /** Only while `failed`. */
  readonly next_attempt_at: string | null
  /** Of the latest attempt that failed; kept when a later one succeeds. */
  readonly last_error: string | null
  /** Only when `done`. */
  readonly result: IntegrationResult | null
  readonly created_at: string
  readonly updated_at: string
  readonly finished_at: string | null
}

/** A job that nobody has begun. */
export function queuedJob(id: string, partner: string, maxAttempts: number, nowMs: number): Job {
  const at = iso(nowMs)
  return {
    id,
    state: 'queued',
    partner,
    attempts: 0,
    max_attempts: maxAttempts,
    next_attempt_at: null,
    last_error: null,
    result: null,
    created_at: at,
    updated_at: at,
    finished_at: null,
  }
}

/** The job with its n-th attempt begun. */
export function runningJob(job: Job, attempt: number, nowMs: number): Job {
  return { ...job, state: 'running', attempts: attempt, next_attempt_at: null, updated_at: iso(nowMs) }
}

/** The job with the third party's answer. */
export function doneJob(job: Job, result: IntegrationResult, nowMs: number): Job {
  const at = iso(nowMs)
  return { ...job, state: 'done', result, updated_at: at, finished_at: at }
}

/** The job waiting `delayMs` for another attempt. */
export function failedJob(job: Job, error: string, delayMs: number, nowMs: number): Job {
  return { ...job, state: 'failed', last_error: error, next_attempt_at: iso(nowMs + delayMs), updated_at: iso(nowMs) }
}

/** The job given up. */
export function deadJob(job: Job, error: string, nowMs: number): Job {
  const at = iso(nowMs)
  return { ...job, state: 'dead', last_error: error, next_attempt_at: null, updated_at: at, finished_at: at }
}

/** Whether nothing more happens to the job. */
export function isFinished({ state }: Job): boolean {
  return state === 'done' || state === 'dead'
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
