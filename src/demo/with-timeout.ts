/** How long another server may take for one command before it counts as away. */
export const TIMEOUT_MS = 3000

/** Resolves or rejects as `pending`; rejects by itself after `timeoutMs`. */
export function withTimeout<T>(pending: Promise<T>, timeoutMs: number = TIMEOUT_MS): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    pending.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Why another server is away, in words: an AggregateError (one attempt for each address) has none of its own. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as NodeJS.ErrnoException
  return cause.message || code || cause.name
}

/** A URL to be shown: without user and password. */
export function withoutSecrets(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/@]*@/, '$1')
}
