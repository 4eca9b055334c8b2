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
    const { keys, args } = writeCall(batch)
    const deadlineUs = serverTime?.at(sentUs + timeout * 1000) ?? 0
    client.charge(keys, [batchUs, deadlineUs, ...args]).then(
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

  /** KEYS and ARGV of charge.lua, without the two times. */
  function writeCall(batch: readonly Entry[]) {
    const numbers = new Map<string, number>()
    const keys: (string | Buffer)[] = []
    const args: number[] = []
    for (const { debits } of batch) {
      args.push(debits.length)
      for (const { bucket, id, tag, cost, group, reserve, floor, lease = 0 } of debits) {
        const place = names.place(bucket.name, tag)
        let number = numbers.get(place + id)
        if (number === undefined) {
          number = keys.push(names.key(place, id))
          numbers.set(place + id, number)
        }
        args.push(number, bucket.capacity, bucket.tokens, bucket.seconds, cost, group, reserve, floor, lease)
      }
    }
    return { keys, args }
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
