import { monitorEventLoopDelay } from 'node:perf_hooks'
import t, { type Test } from 'tap'
import { mostAbove } from '../../bench/chaos/bound.ts'
import { monotonicClock } from '../../src/clock.ts'
import { createLeases, LEASE_LIFE_US } from '../../src/limiter/leases.ts'
import { guardStore } from '../../src/limiter/outage.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { type Debit, isAdmitted } from '../../src/limiter/store.ts'
import { createRedisStore } from '../../src/stores/redis.ts'
import { debitOf } from '../contracts/store.ts'
import { type RedisServer, startRedis } from '../fixtures/redis-server.ts'
import { at } from '../fixtures/redis-store.ts'

/** Instances on a real Redis, in real time: what 60 seconds of `npm run chaos -- --saturate` measure of whole proxies, in short. */

const LIFE = LEASE_LIFE_US / 1e6
/** Seconds after which the first burst is spent, and what is due is the rate. */
const SETTLED = 2
/** A test process that stood still for so long (milliseconds) has let leases go unspent that an instance would have spent. */
const STALL = 60

async function open(t: Test, lease: 'auto' | 'off' = 'auto') {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const tokens = { leased: 0, spent: 0, returned: 0, expired: 0 }
  const instances = await Promise.all([1, 2].map(() => openInstance(t, redis, lease, tokens)))
  return { redis, instances, tokens }
}

async function openInstance(t: Test, redis: RedisServer, lease: 'auto' | 'off', tokens: Record<string, number>) {
  const options = at(redis.url)
  const store = createRedisStore({ ...options, keyPrefix: 'leased:' })
  t.equal(await store.opened, true)
  const { timeout } = options
  const events = { called() {}, changed: () => t.fail('Redis is away') }
  const guard = guardStore(store, { timeout, clock: monotonicClock, random: Math.random, events })
  const leases = createLeases({
    guard,
    giveBack: store.giveBack,
    clock: monotonicClock,
    timeout,
    isExact: () => lease === 'off',
    onTokens(result, count) {
      tokens[result]! += count
    },
  })
  t.teardown(async () => {
    await leases.close()
    guard.close()
    await store.close()
  })
  return leases
}

/** How often Redis has run our script. */
async function scriptCalls(redis: RedisServer): Promise<number> {
  const stats = await redis.cli('info', 'commandstats')
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
}

/**
 * Asks the instances in turn for `seconds`, `perMs` requests in each millisecond; gives when each debit's were known to be
 * admitted (milliseconds), how many were asked, and the seconds that the slowest decision took.
 */
async function load(
  { instances }: Awaited<ReturnType<typeof open>>,
  next: () => Debit,
  { seconds, perMs }: { readonly seconds: number; readonly perMs: number },
) {
  const passed = new Map<Debit, number[]>()
  const waiting = new Set<Promise<void>>()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const from = performance.now()
  let asked = 0
  let slowest = 0
  function judge(debit: Debit, debts: readonly number[] | null, askedAt: number): void {
    slowest = Math.max(slowest, performance.now() - askedAt)
    if (debts === null || !isAdmitted(debit, debts[0]!)) return
    const times = passed.get(debit)
    if (times === undefined) passed.set(debit, [performance.now()])
    else times.push(performance.now())
  }
  while (performance.now() - from < seconds * 1000) {
    for (const due = (performance.now() - from) * perMs; asked < due; asked++) {
      const debit = next()
      const askedAt = performance.now()
      const charging = instances[asked % 2]!.charge([debit])
      if (!(charging instanceof Promise)) judge(debit, charging, askedAt)
      else {
        const judged = charging.then((debts) => judge(debit, debts, askedAt)).finally(() => waiting.delete(judged))
        waiting.add(judged)
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(waiting)
  delay.disable()
  return {
    passed,
    asked,
    slowest: slowest / 1000,
    lasted: (performance.now() - from) / 1000,
    isStalled: delay.max / 1e6 > STALL,
  }
}

for (const { keys, rate, burst, perMs } of [
  { keys: 1, rate: 500, burst: 500, perMs: 4 },
  { keys: 1000, rate: 5, burst: 10, perMs: 12 },
]) {
  t.test(`${keys} keys at saturation pass what is due, and never more than is documented`, async (t) => {
    const lab = await open(t)
    const bucket = createBucket('saturated', { tokens: rate, seconds: 1 }, burst)
    const debits = Array.from({ length: keys }, (_, i) => debitOf({ bucket, id: `key-${i}` }))
    const next = () => debits[Math.floor(Math.random() * keys)]!
    const from = performance.now()
    const { passed, lasted, slowest, isStalled } = await load(lab, next, { seconds: 6, perMs })
    // Seen from here an admission is as late as its answer, which is as a rule much less than a lease's life.
    const most = burst + rate * Math.max(LIFE, slowest)
    let above = 0
    let settled = 0
    for (const times of passed.values()) {
      if (times.length > burst + rate * lasted) t.fail(`${times.length} passed in ${lasted} s from a full bucket`)
      above = Math.max(above, mostAbove(times, rate))
      settled += times.filter((ms) => ms > from + 1000 * SETTLED).length
    }
    t.equal(passed.size, keys)
    t.ok(above <= most, `${above} above the rate, of ${most}`)
    const share = settled / (keys * rate * (lasted - SETTLED))
    if (!isStalled) t.ok(share >= 0.95, `${share}`)
    else t.comment(`the test itself stood still: ${Math.round(100 * share)} % of what was due`)
  })
}

t.test('10,000 requests a second on 50 keys cost at most 0.05 calls each', async (t) => {
  const lab = await open(t)
  const bucket = createBucket('ample', { tokens: 1000, seconds: 1 }, 1000)
  const debits = Array.from({ length: 50 }, (_, i) => debitOf({ bucket, id: `key-${i}` }))
  const before = await scriptCalls(lab.redis)
  const { asked } = await load(lab, () => debits[Math.floor(Math.random() * 50)]!, { seconds: 3, perMs: 10 })
  const calls = (await scriptCalls(lab.redis)) - before
  t.ok(calls > 0 && calls / asked <= 0.05, `${calls} calls for ${asked} requests`)
})

t.test('lease: off leases nothing, and takes each token in Redis', async (t) => {
  const lab = await open(t, 'off')
  const debit = debitOf({ bucket: createBucket('exact', { tokens: 1, seconds: 3600 }, 3000) })
  const { passed, asked } = await load(lab, () => debit, { seconds: 1, perMs: 2 })
  const [debt] = (await lab.instances[0]!.charge([{ ...debit, cost: debit.bucket.capacity + 1 }]))!
  t.equal(passed.get(debit)!.length, asked)
  t.equal(Math.ceil(debt! / 1e6), asked)
  t.equal(lab.tokens.leased, 0)
})

t.test('a flood of refused requests costs Redis no calls', async (t) => {
  const lab = await open(t)
  const bucket = createBucket('empty', { tokens: 1, seconds: 3600 }, 3)
  const debits = Array.from({ length: 100 }, (_, i) => debitOf({ bucket, id: `key-${i}` }))
  const next = () => debits[Math.floor(Math.random() * 100)]!
  await load(lab, next, { seconds: 1, perMs: 4 })
  const before = await scriptCalls(lab.redis)
  const { passed, asked } = await load(lab, next, { seconds: 2, perMs: 10 })
  t.equal(passed.size, 0)
  t.ok(asked > 1000, `${asked} requests`)
  t.equal((await scriptCalls(lab.redis)) - before, 0)
})
