import type { IdempotencyKeys } from '../idempotency-keys.ts'
import type { JobRecords } from '../job-records.ts'
import type { Message } from '../queue/queue.ts'
import type { Users } from '../users.ts'
import type { Journal } from './journal.ts'

/** Where the demo keeps what it knows. */
export type Storage = {
  readonly users: Users
  readonly records: JobRecords
  readonly keys: IdempotencyKeys
  /** Where a queue in process may keep its messages, too. */
  readonly messages?: Journal<QueuedMessage>
  close(): Promise<void>
}

/** A message as a queue in process keeps it. */
export type QueuedMessage = Message & { readonly buried: boolean }
