import { SluiceError } from '../../errors.ts'
import { reasonOf, withoutSecrets } from '../with-timeout.ts'

/** The error of a backend that is away: which, why, and what to do. Secrets in its URL are left out. */
export function unavailable(url: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause
  const place = withoutSecrets(url)
  const message = `the queue at ${place} is not available: ${reasonOf(cause)}; start it, or set DEMO_QUEUE_URL`
  return new SluiceError('queue_unavailable', message, { cause })
}
