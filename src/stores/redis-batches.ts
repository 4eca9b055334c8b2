import { monotonicClock } from '../clock.ts'
import { SluiceError } from '../errors.ts'
import type { Debit } from '../limiter/store.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisKeys } from './redis-keys.ts'
import { createServerTime } from './server-time.ts'

export type RedisBatchesOptions = {
  readonly client: RedisClient
  readonly isCluster: boolean
  readonly keys: RedisKeys
  /** Milliseconds after which nobody waits any more for a charge. */
  readonly timeout: number
  /** Microseconds instead of Redis's own TIME, for tests. */
  readonly nowUs: (() => number) | undefined
}

/** Charges debits of one slot in the batch of this turn; rejects with `store_unavailable`. */
export type ChargeInBatch = (debits: readonly Debit[]) => Promise<readonly number[]>

type Entry = {
  readonly debits: readonly Debit[]
  readonly resolve: (debts: readonly number[]) => void
  readonly reject: (cause: SluiceError) => void
}

/** Debits in one script call: Redis serves nobody else while it runs, some microseconds for each. */
const MAX_DEBITS = 500
/** Numbers that charge.lua reads of each debit. */
const FIELDS = 9

/**
 * Gathers what is charged within one turn of the event loop into one script call, on a cluster one for each tag: the keys
 * of a tag share a slot.
 *
 * Redis is told until when the senders wait, by its own clock as far as answers have shown it, and does not do what comes
 * to it later: of a charge that nobody waited for, as after a stop, nothing stays. The nodes of a cluster have clocks of
 * their own, so there it does.
 */
export function createRedisBatches({
  client,
  isCluster,
  keys: names,
  timeout,
  nowUs,
}: RedisBatchesOptions): ChargeInBatch {
  const serverTime = isCluster || nowUs !== undefined ? null : createServerTime()
  let waiting = new Map<string, Entry[]>()
  /** The injected time of the batch; 0 where Redis's own counts. */
  let batchUs = 0

  function flush(): void {
    const slots = waiting
    waiting = new Map()
    for (const entries of slots.values()) {
      let batch: Entry[] = []
      let size = 0
      for (const entry of entries) {
        if (size > 0 && size + entry.debits.length > MAX_DEBITS) {
          send(batch)
          batch = []
          size = 0
        }
        batch.push(entry)
        size += entry.debits.length
      }
      send(batch)
    }
  }

  function send(batch: readonly Entry[]): void {
    const sentUs = monotonicClock.nowUs()
    const { keys, numbers } = writeCall(batch, serverTime?.at(sentUs + timeout * 1000) ?? 0)
    client.charge(keys, [numbers]).then(
      (reply) => {
        serverTime?.heard(reply[0]!, sentUs, monotonicClock.nowUs())
        if (reply.length === 1) return fail(batch, new Error(`the charge came later than its ${timeout} ms`))
        let at = 1
        for (const { debits, resolve } of batch) {
          resolve(reply.slice(at, at + debits.length))
          at += debits.length
        }
      },
      (cause: Error) => fail(batch, cause),
    )
  }

  /** KEYS and the numbers of charge.lua. */
  function writeCall(batch: readonly Entry[], deadlineUs: number) {
    const places = new Map<string, number>()
    const keys: (string | Buffer)[] = []
    let size = 2
    for (const { debits } of batch) size += 1 + FIELDS * debits.length
    const numbers = Buffer.allocUnsafe(8 * size)
    let at = numbers.writeDoubleLE(batchUs, 0)
    at = numbers.writeDoubleLE(deadlineUs, at)
    for (const { debits } of batch) {
      at = numbers.writeDoubleLE(debits.length, at)
      for (const { bucket, id, tag, cost, group, reserve, floor, lease = 0 } of debits) {
        const place = names.place(bucket.name, tag)
        let number = places.get(place + id)
        if (number === undefined) {
          number = keys.push(names.key(place, id))
          places.set(place + id, number)
        }
        at = numbers.writeDoubleLE(number, at)
        at = numbers.writeDoubleLE(bucket.capacity, at)
        at = numbers.writeDoubleLE(bucket.tokens, at)
        at = numbers.writeDoubleLE(bucket.seconds, at)
        at = numbers.writeDoubleLE(cost, at)
        at = numbers.writeDoubleLE(group, at)
        at = numbers.writeDoubleLE(reserve, at)
        at = numbers.writeDoubleLE(floor, at)
        at = numbers.writeDoubleLE(lease, at)
      }
    }
    return { keys, numbers }
  }

  return (debits) =>
    new Promise((resolve, reject) => {
      const chargedUs = nowUs?.() ?? 0
      if (chargedUs !== batchUs) flush()
      batchUs = chargedUs
      if (waiting.size === 0) setImmediate(flush)
      const slot = isCluster ? debits[0]!.tag : ''
      const entries = waiting.get(slot)
      const entry = { debits, resolve, reject }
      if (entries === undefined) waiting.set(slot, [entry])
      else entries.push(entry)
    })
}

function fail(batch: readonly Entry[], cause: Error): void {
  const unavailable = new SluiceError('store_unavailable', `redis: ${cause.message}`, { cause })
  for (const { reject } of batch) reject(unavailable)
}
