import type { Journal } from './storage/journal.ts'
import type { Timers } from './timers.ts'

/** What was answered under a key, to be answered again. */
export type StoredResponse =
  | { readonly kind: 'job'; readonly id: string }
  | { readonly kind: 'waited'; readonly body: unknown }

/** A key that is in use: by which request, and what that was answered; null while it is under way. */
export type KnownKey = { readonly fingerprint: string; readonly answer: StoredResponse | null }

/** Keeps the idempotency keys that were used, each for a day. */
export type IdempotencyKeys = {
  /** Takes the key for a request as one step: of any number that race for it exactly one is answered undefined. */
  claim(key: string, fingerprint: string): Promise<KnownKey | undefined>
  /** Keeps the answer for those who ask again. */
  settle(key: string, known: KnownKey): Promise<void>
  /** Gives the key back: nothing was done under it. */
  release(key: string): Promise<void>
}

/** A claim of a process that died in its request ends by itself. Longer than any request takes. */
export const CLAIM_MS = 60_000
/** How long an answer is kept. */
export const KEPT_MS = 24 * 3_600_000

type Entry = KnownKey & { readonly until_ms: number }

export type MemoryKeysOptions = {
  /** The oldest go first. */
  readonly maxKeys: number
  readonly timers: Timers
  readonly journal?: Journal<Entry> | undefined
}

/** Keeps the keys in memory, and in the journal if there is one. */
export function createMemoryKeys({ maxKeys, timers, journal }: MemoryKeysOptions): IdempotencyKeys {
  const entries = new Map<string, Entry>(journal?.entries)

  async function release(key: string): Promise<void> {
    entries.delete(key)
    await journal?.remove(key)
  }

  return {
    async claim(key, fingerprint) {
      const known = entries.get(key)
      if (known !== undefined && known.until_ms > timers.now()) return known
      entries.delete(key)
      entries.set(key, { fingerprint, answer: null, until_ms: timers.now() + CLAIM_MS })
      const [oldest] = entries.keys()
      if (entries.size > maxKeys && oldest !== undefined) await release(oldest)
      return undefined
    },
    async settle(key, { fingerprint, answer }) {
      const entry = { fingerprint, answer, until_ms: timers.now() + KEPT_MS }
      entries.set(key, entry)
      await journal?.put(key, entry)
    },
    release,
  }
}

/** What a journal keeps of a key. */
export type KeyEntry = Entry
