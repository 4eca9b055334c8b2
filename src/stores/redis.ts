import { monotonicClock } from '../clock.ts'
import type { RollAnswer, RollCall } from '../identity/roll.ts'
import { TOKEN } from '../limiter/bucket.ts'
import { type Debit, isAdmitted, leaseTaken, refund, type SharedStore } from '../limiter/store.ts'
import { type ChargeInBatch, createRedisBatches } from './redis-batches.ts'
import { createRedisClient, type RedisClientOptions } from './redis-client.ts'
import { createRedisKeys } from './redis-keys.ts'
import { createRedisMembers } from './redis-members.ts'

export type RedisStoreOptions = RedisClientOptions & {
  /** Begins every key. */
  readonly keyPrefix: string
  /** Milliseconds after which nobody waits any more for a charge. */
  readonly timeout: number
  /** Microseconds instead of Redis's own TIME, for tests that hold this store and the memory store equal. */
  readonly nowUs?: () => number
}

export type RedisStore = SharedStore & {
  /** Asks the roll of members; rejects with `store_unavailable`. */
  members(call: RollCall): Promise<RollAnswer>
  /** Resolves when the first attempt to connect has ended: whether Redis was there. Never rejects. */
  readonly opened: Promise<boolean>
}

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
 * Keeps the buckets and the roll of members in Redis, where several instances share them, on Redis's clock.
 *
 * Starting while Redis is away works: calls reject at once (nothing queues up in the client) until it is there.
 */
export function createRedisStore(options: RedisStoreOptions): RedisStore {
  const client = createRedisClient(options)
  const isCluster = options.servers.kind === 'cluster'
  const { keyPrefix, timeout, nowUs } = options
  const keys = createRedisKeys(keyPrefix, isCluster)
  const chargeInBatch = createRedisBatches({ client, isCluster, keys, timeout, nowUs })

  function charge(debits: readonly Debit[]): Promise<readonly number[]> {
    if (debits.length === 0) return Promise.resolve([])
    const { tag } = debits[0]!
    if (!isCluster || debits.every((debit) => debit.tag === tag)) return chargeInBatch(debits)
    return chargeSlots(debits, chargeInBatch)
  }

  return {
    charge,
    async giveBack(debits) {
      await Promise.allSettled(debits.map((debit) => chargeInBatch([debit])))
    },
    members: createRedisMembers(client, keys),
    opened: client.opened,
    ping: async () => {
      await charge([PROBE])
    },
    close: async () => client.close(),
  }
}

/**
 * Charges keys of several slots: those of each slot by themselves (reserve), then gives back what was taken of a group that
 * another slot refused (refund). Nothing passes that was not taken; a refused request holds tokens for the time of two calls,
 * which others may miss meanwhile, and for good when its refund is lost.
 */
async function chargeSlots(debits: readonly Debit[], charge: ChargeInBatch): Promise<readonly number[]> {
  const slots = new Map<string, Debit[]>()
  for (const debit of debits) slots.set(debit.tag, [...(slots.get(debit.tag) ?? []), debit])
  const sentUs = monotonicClock.nowUs()
  const debts = new Map<Debit, number>()
  const answers = await Promise.allSettled(
    [...slots.values()].map(async (slot) => {
      for (const [i, debt] of (await charge(slot)).entries()) debts.set(slot[i]!, debt)
    }),
  )
  const failed = answers.find((answer) => answer.status === 'rejected')
  const isRefused = (debit: Debit) => !debts.has(debit) || !isAdmitted(debit, debts.get(debit)!)
  const refusedIn = (some: readonly Debit[]) => new Set(some.filter(isRefused).map(({ group }) => group))
  const refused = refusedIn(debits)
  const heldUs = monotonicClock.nowUs() - sentUs
  for (const slot of slots.values()) {
    const refusedHere = refusedIn(slot)
    for (const debit of slot) {
      const wasTaken = !refusedHere.has(0) && !refusedHere.has(debit.group)
      const isDue = !refused.has(0) && !refused.has(debit.group)
      if (!wasTaken || isDue) continue
      const back = refund(debit, debit.cost + leaseTaken(debit, debts.get(debit)!), heldUs)
      if (back !== null) charge([back]).catch(() => {})
    }
  }
  if (failed !== undefined) throw failed.reason
  return debits.map((debit) => debts.get(debit)!)
}
