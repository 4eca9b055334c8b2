/** What a browser needs to be allowed to read an answer of our own (Fetch standard, CORS protocol). */
const EXPOSED = 'RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset'

/**
 * Compiles the CORS fields (names and values in turn) for our own answers to a request with this Origin: any origin without credentials where the
 * policy says `*`, listed origins with them, none for others.
 */
export function compileCors(origins: readonly string[]): (origin: string | undefined) => readonly string[] {
  const listed = new Set(origins)
  return (origin) => {
    if (origin === undefined) return []
    const exposed = ['Access-Control-Expose-Headers', EXPOSED]
    if (listed.has('*')) return ['Access-Control-Allow-Origin', '*', ...exposed]
    if (!listed.has(origin)) return ['Vary', 'Origin']
    const allowed = ['Access-Control-Allow-Origin', origin, 'Access-Control-Allow-Credentials', 'true']
    return [...allowed, 'Vary', 'Origin', ...exposed]
  }
}
