import { once } from 'node:events'
import { Redis } from 'ioredis'
import { withTimeout } from './with-timeout.ts'

/** A connection to a Redis that may be away. */
export type RedisConnection = {
  readonly redis: Redis
  /**
   * Runs `call`, which must be over within seconds. Rejects at once while the connection is lost, with the reason of
   * that; waits for one that is being made.
   */
  ask<T>(call: (redis: Redis) => Promise<T>): Promise<T>
  close(): void
}

/**
 * Connects as soon as it can, and again whenever the connection is lost. Nothing is kept for later or sent again: what
 * was not done at once is told to be not done.
 */
export function connectRedis(url: string): RedisConnection {
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 0, retryStrategy, lazyConnect: true })
  let lastError: unknown = new Error('it was never connected')
  function note(error: unknown): void {
    lastError = error
  }
  redis.on('error', note)
  redis.connect().catch(note)
  return {
    redis,
    async ask(call) {
      try {
        if (redis.status !== 'ready') await ready(redis)
        return await withTimeout(call(redis))
      } catch (error) {
        throw redis.status === 'ready' ? error : lastError
      }
    },
    close: () => redis.disconnect(),
  }
}

/** How long to wait before another attempt to connect. */
export function retryStrategy(times: number): number {
  return Math.min(times * 100, 1000)
}

/** Waits for a connection that is being made; rejects when it cannot be, or is between two attempts. */
async function ready(redis: Redis): Promise<void> {
  if (!['connecting', 'connect'].includes(redis.status)) throw new Error('the connection is lost')
  const stop = new AbortController()
  const close = once(redis, 'close', { signal: stop.signal }).then(() => {
    throw new Error('the connection was refused')
  })
  try {
    await withTimeout(Promise.race([once(redis, 'ready', { signal: stop.signal }), close]))
  } finally {
    close.catch(() => {})
    stop.abort()
  }
}
