import type { SharedBackend } from '../app.ts'
import { SluiceError } from '../errors.ts'
import type { Debit } from '../limiter/store.ts'
import type { Channel } from './channel.ts'
import type { PrimaryAnswers, Spending } from './questions.ts'

type Entry = {
  readonly debits: readonly Debit[]
  readonly resolve: (debts: readonly number[]) => void
  readonly reject: (cause: SluiceError) => void
}

/**
 * The primary's buckets and its roll of members, as a worker has them: a store behind a network. What is charged within one
 * turn of the event loop goes in one message, and with it what was spent of leases, so that the primary knows what a worker
 * that dies still held.
 */
export function createLentStore({ ask }: Channel<PrimaryAnswers>): SharedBackend {
  let waiting: Entry[] = []
  let spent = new Map<Debit, number>()
  let isScheduled = false

  function schedule(): void {
    if (isScheduled) return
    isScheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    isScheduled = false
    const batch = waiting
    const spendings = [...spent].map(([{ bucket, id }, amount]): Spending => [bucket.name, id, amount])
    waiting = []
    spent = new Map()
    ask(
      'charge',
      batch.map(({ debits }) => debits),
      spendings,
    ).then(
      (answers) => {
        for (const [i, { resolve }] of batch.entries()) resolve(answers[i]!)
      },
      (cause: Error) => {
        for (const { reject } of batch) reject(unavailable(cause))
      },
    )
  }

  function charge(debits: readonly Debit[]): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      waiting.push({ debits, resolve, reject })
      schedule()
    })
  }

  return {
    charge,
    async giveBack(debits) {
      await Promise.allSettled(debits.map((debit) => charge([debit])))
    },
    noteSpent(debit, amount) {
      spent.set(debit, (spent.get(debit) ?? 0) + amount)
      schedule()
    },
    members: (call) =>
      ask('members', call).catch((cause: Error) => {
        throw unavailable(cause)
      }),
    opened: Promise.resolve(true),
    ping: async () => {
      await charge([])
    },
    close: async () => {},
  }
}

function unavailable(cause: Error): SluiceError {
  return new SluiceError('store_unavailable', `the primary: ${cause.message}`, { cause })
}
