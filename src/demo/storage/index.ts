import { createMemoryKeys, type KeyEntry } from '../idempotency-keys.ts'
import type { Job } from '../job.ts'
import { createMemoryJobRecords } from '../job-records.ts'
import type { Timers } from '../timers.ts'
import { createMemoryUsers, type User } from '../users.ts'
import type { QueuedMessage, Storage } from './storage.ts'

/** Where to keep things, and how much of them. Redis before the folder; without either, in memory. */
export type OpenStorageOptions = {
  readonly redisUrl: string | undefined
  readonly dataDir: string | undefined
  readonly maxUsers: number
  readonly maxJobs: number
  readonly timers: Timers
}

/** Opens the storage. Redis need not be there yet; a folder that cannot be used is a SluiceError `usage`. */
export async function openStorage(options: OpenStorageOptions): Promise<Storage> {
  const { redisUrl, dataDir, maxUsers, maxJobs, timers } = options
  if (redisUrl !== undefined) {
    return (await import('./redis.ts')).createRedisStorage({ url: redisUrl, maxUsers, maxJobs })
  }
  const journals = dataDir === undefined ? undefined : await (await import('./journal.ts')).openJournals(dataDir)
  const users = createMemoryUsers({ maxUsers, journal: await journals?.open<User>('users') })
  const records = createMemoryJobRecords({ maxJobs, journal: await journals?.open<Job>('jobs') })
  const keys = createMemoryKeys({ maxKeys: maxJobs, timers, journal: await journals?.open<KeyEntry>('keys') })
  const messages = await journals?.open<QueuedMessage>('messages')
  return {
    users,
    records,
    keys,
    ...(messages && { messages }),
    close: async () => journals?.close(),
  }
}
