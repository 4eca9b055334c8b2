import { setTimeout as delay } from 'node:timers/promises'
import { createRemoteJWKSet, customFetch } from 'jose'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { MAX_JWKS_BYTES, MAX_JWKS_KEYS } from '../policy/jwk-set.ts'
import { boundedFetch } from './bounded-fetch.ts'
import { importJwks, type JwkKeys } from './jwk-keys.ts'

export type Jwks = {
  /** The keys last fetched from an address, at once; null before the first. Stale ones are fetched anew in the background. */
  keys(url: string): JwkKeys | null
  /** Somebody bears a token of a key that is not among them: fetches them anew, not more often than twice a minute. */
  miss(url: string): void
  /** Fetches from addresses, and waits for that as long as told (milliseconds). Never rejects. */
  open(urls: readonly string[], patience: number): Promise<void>
  /** Ends what is being fetched. */
  close(): void
}

export type JwksOptions = { readonly clock: Clock; readonly log: Logger }

type Source = {
  readonly remote: ReturnType<typeof createRemoteJWKSet>
  /** The set as text: an unchanged one keeps its keys, and with them what was verified by them. */
  text: string
  keys: JwkKeys | null
  triedUs: number
  pending: Promise<void> | null
  isAway: boolean
}

const FRESH_US = 10 * 60 * 1e6
const RETRY_US = 30 * 1e6
const TIMEOUT = 5000

/**
 * Keeps the keys of issuers. No request ever waits for them: while an issuer is away its last keys go on to be used, and
 * before the first have come a token is only a claim.
 */
export function createJwks({ clock, log }: JwksOptions): Jwks {
  const sources = new Map<string, Source>()
  const ending = new AbortController()

  function sourceOf(url: string): Source {
    let source = sources.get(url)
    if (source === undefined) {
      const remote = createRemoteJWKSet(new URL(url), {
        timeoutDuration: TIMEOUT,
        [customFetch]: (address, options) => boundedFetch(address, options, MAX_JWKS_BYTES),
      })
      source = { remote, text: '', keys: null, triedUs: Number.NEGATIVE_INFINITY, pending: null, isAway: false }
      sources.set(url, source)
    }
    return source
  }

  async function load(url: string, source: Source): Promise<void> {
    try {
      await source.remote.reload()
      const set = source.remote.jwks()?.keys ?? []
      if (set.length > MAX_JWKS_KEYS) throw new Error(`the set has ${set.length} keys, more than ${MAX_JWKS_KEYS}`)
      const text = JSON.stringify(set)
      if (text !== source.text) {
        source.text = text
        source.keys = importJwks(set)
      }
      if (source.isAway) log.info({ url }, 'JWKS refreshed')
      source.isAway = false
    } catch (cause) {
      if (!source.isAway && !ending.signal.aborted) {
        log.error(
          { url, cause: String(cause) },
          'JWKS refresh failed, using the last keys; check identity.jwt jwks_url',
        )
      }
      source.isAway = true
    } finally {
      source.pending = null
    }
  }

  function refresh(url: string, source: Source, afterUs: number): void {
    const nowUs = clock.nowUs()
    if (source.pending !== null || ending.signal.aborted || nowUs - source.triedUs < afterUs) return
    source.triedUs = nowUs
    source.pending = load(url, source)
  }

  return {
    keys(url) {
      const source = sourceOf(url)
      refresh(url, source, source.keys === null || source.isAway ? RETRY_US : FRESH_US)
      return source.keys
    },
    miss(url) {
      refresh(url, sourceOf(url), RETRY_US)
    },
    async open(urls, patience) {
      for (const url of urls) refresh(url, sourceOf(url), RETRY_US)
      const waiting = urls.map((url) => sourceOf(url).pending)
      if (waiting.length === 0) return
      const gaveUp = new AbortController()
      const patient = delay(patience, undefined, { signal: gaveUp.signal }).catch(() => {})
      await Promise.race([Promise.all(waiting), patient])
      gaveUp.abort()
    },
    close() {
      ending.abort()
    },
  }
}
