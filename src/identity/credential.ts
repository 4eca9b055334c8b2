import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { ApiKeysPolicy } from '../policy/types.ts'

export type Credential = {
  /** Who the client is proved to be: a listed API key's name. */
  readonly principal: string | null
  /** What it merely claims: tokens that nothing here has verified, whole, one after another. */
  readonly claims: readonly string[]
}

const NOTHING: Credential = { principal: null, claims: [] }

/** Compiles how credentials are read. A key is known by its SHA-256 alone; one that is not listed is only a claim. */
export function compileCredential(apiKeys: ApiKeysPolicy | null): (headers: IncomingHttpHeaders) => Credential {
  const names = new LRUCache<string, { name: string | null }>({
    maxSize: 4 * 1024 * 1024,
    sizeCalculation: (_, key) => key.length + 100,
  })

  function principalOf(key: string, policy: ApiKeysPolicy): string | null {
    let known = names.get(key)
    if (known === undefined) {
      known = { name: policy.principals.get(createHash('sha256').update(key, 'latin1').digest('hex')) ?? null }
      names.set(key, known)
    }
    return known.name
  }

  return (headers) => {
    // An empty field claims nothing: sending one now and then must not make two clients of one.
    const authorization = headers.authorization === '' ? undefined : headers.authorization
    const key = apiKeys === null ? undefined : headers[apiKeys.header]
    if (apiKeys !== null && typeof key === 'string' && key !== '') {
      const principal = principalOf(key, apiKeys)
      if (principal !== null) return { principal, claims: [] }
      return { principal: null, claims: [authorization ?? '', key] }
    }
    return authorization === undefined ? NOTHING : { principal: null, claims: [authorization] }
  }
}
