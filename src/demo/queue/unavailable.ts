import { SluiceError } from '../../errors.ts'

/** How long a backend may take for one command before it counts as away. */
export const PATIENCE_MS = 3000

/** The error of a backend that is away: which, why, and what to do. Secrets in its URL are left out. */
export function unavailable(url: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause
  const why = reasonOf(cause)
  const message = `the queue at ${withoutSecrets(url)} is not available: ${why}; start it, or set DEMO_QUEUE_URL`
  return new SluiceError('queue_unavailable', message, { cause })
}

/** Resolves or rejects as `pending`; rejects by itself after `patienceMs`. */
export function inTime<T>(pending: Promise<T>, patienceMs: number = PATIENCE_MS): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${patienceMs} ms`)), patienceMs)
    pending.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  // An AggregateError (one connection attempt for each address) has no message of its own.
  const { code } = cause as NodeJS.ErrnoException
  return cause.message || code || cause.name
}

function withoutSecrets(text: string): string {
  return text.replace(/^([a-z]+:\/\/)[^/@]*@/, '$1')
}
