import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { SluiceError } from '../errors.ts'
import { TOKEN } from '../limiter/bucket.ts'
import type { Debit, SharedStore } from '../limiter/store.ts'

export type RedisStoreOptions = {
  /** `redis://[user[:password]@]host[:port][/db]` */
  readonly url: string
  readonly password: string | null
  /** Begins every key. */
  readonly keyPrefix: string
  /** Milliseconds a new connection may take. */
  readonly connectTimeout: number
  /** Microseconds instead of Redis's own TIME, for tests that hold this store and the memory store equal. */
  readonly nowUs?: () => number
  /** Called with each connection error, which also shows as failing calls. */
  readonly onError?: (cause: Error) => void
}

export type RedisStore = SharedStore & {
  /** Resolves when the first attempt to connect has ended: whether Redis was there. Never rejects. */
  readonly opened: Promise<boolean>
}

type ChargeCommand = { chargeBuckets(keyCount: number, ...keysAndArgs: (string | number)[]): Promise<number[]> }

/** Milliseconds without an answer after which a connection counts as dead: of a machine that is gone no end is ever told. */
const SILENCE = 3000

/** Milliseconds that a closed connection may hold the process up; ioredis waits as long even where there was none. */
const LINGER = 100

/** A charge that drains at once. A PING is answered too by a Redis that nobody can write to. */
const PROBE: Debit = {
  bucket: { name: 'probe', capacity: TOKEN, tokens: TOKEN, seconds: 1 },
  id: 'probe',
  tag: 'probe',
  cost: 1,
  group: 0,
  reserve: 0,
  floor: 0,
}

/**
 * Keeps the buckets in Redis, where several instances share them: one script call a request, on Redis's clock.
 * A key is `<prefix>{<tag>}<bucket name>:<id>`, so the keys of one network share a slot of a cluster.
 *
 * Starting while Redis is away works: calls reject at once (nothing queues up in the client) until it is there.
 */
export function createRedisStore(options: RedisStoreOptions): RedisStore {
  const redis = new Redis(options.url, {
    ...(options.password === null ? {} : { password: options.password }),
    connectTimeout: options.connectTimeout,
    socketTimeout: SILENCE,
    disconnectTimeout: LINGER,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // Spread over instances, so that a Redis that comes back is not met by all of them at once.
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 5), 1000) * (0.5 + Math.random()),
  })
  redis.defineCommand('chargeBuckets', { lua: readFileSync(new URL('charge.lua', import.meta.url), 'utf8') })
  const script = redis as unknown as ChargeCommand
  // Why there is no connection: a call that fails for want of one says only that.
  let lastError: Error | undefined
  // Without a listener ioredis prints every failed reconnection itself.
  redis.on('error', (cause: Error) => {
    lastError = cause
    options.onError?.(cause)
  })
  const opened = new Promise<boolean>((resolve) => {
    // A server that accepts the connection and then says nothing would never end the attempt.
    const silent = setTimeout(end, options.connectTimeout, false)
    redis.once('ready', () => end(true))
    redis.once('close', () => end(false))
    function end(isReady: boolean): void {
      clearTimeout(silent)
      resolve(isReady)
    }
  })

  async function charge(debits: readonly Debit[]): Promise<readonly number[]> {
    if (debits.length === 0) return []
    const keys: string[] = []
    const args: (string | number)[] = [options.nowUs?.() ?? 0]
    for (const { bucket, id, tag, cost, group, reserve, floor } of debits) {
      keys.push(`${options.keyPrefix}{${tag}}${bucket.name}:${id}`)
      args.push(bucket.capacity, bucket.tokens, bucket.seconds, cost, group, reserve, floor)
    }
    try {
      return await script.chargeBuckets(keys.length, ...keys, ...args)
    } catch (error) {
      const cause = redis.status === 'ready' ? (error as Error) : (lastError ?? (error as Error))
      throw new SluiceError('store_unavailable', `redis: ${cause.message}`, { cause })
    }
  }

  return {
    charge,
    opened,
    ping: async () => {
      await charge([PROBE])
    },
    close: async () => {
      redis.disconnect()
    },
  }
}
