import type { Backstage } from '../admin/backstage.ts'
import type { RollAnswer, RollCall } from '../identity/roll.ts'
import type { Debit } from '../limiter/store.ts'
import type { MetricsSnapshot } from '../metrics/aggregate.ts'
import type { Order } from '../proxy/orders.ts'

/** Micro-tokens spent of a lease; below 0 where that was taken back. */
export type Spending = readonly [bucketName: string, id: string, amount: number]

/** What a worker begins with. `policy` is one that `packPolicy` has packed. */
export type Beginning = {
  readonly worker: number
  readonly workers: number
  readonly instance: string
  readonly policy: string
  /** The bans and grants in force. */
  readonly orders: readonly Order[]
}

/** What the primary answers its workers. */
export type PrimaryAnswers = {
  begin(): Beginning
  /** The worker takes requests. */
  listening(url: string): void
  /** The worker cannot, and ends. */
  failed(message: string): void
  /** Notes what was spent of leases since the last call, then charges requests, each all or none, and answers with their debts. */
  charge(requests: readonly (readonly Debit[])[], spent: readonly Spending[]): readonly (readonly number[])[]
  members(call: RollCall): RollAnswer
}

/** What a worker answers its primary; `Crew.askAll` asks all of them. */
export type WorkerAnswers = Omit<Backstage, 'orders'> & {
  metrics(): Promise<MetricsSnapshot>
  reload(policy: string): Promise<void>
  /** Answers when nothing is under way any more, and all that was leased has been given back. */
  drain(): Promise<void>
}
