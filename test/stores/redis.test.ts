import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { SluiceError } from '../../src/errors.ts'
import { admits, CLOCK_STEP_US, debtAt, drainUs, TOKEN, timeAfter } from '../../src/limiter/bucket.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { createRedisStore, type RedisStoreOptions } from '../../src/stores/redis.ts'
import {
  type Call,
  callSequences,
  debitOf,
  isAdmitted,
  replay,
  type StoreUnderTest,
  storeContract,
  T0,
} from '../contracts/store.ts'
import { freePort, startRedis } from '../fixtures/redis-server.ts'
import { at, readBucket, writeBucket } from '../fixtures/redis-store.ts'

const redis = await startRedis()
t.teardown(() => redis.stop())
/** A second connection, to see and to spoil what the store keeps. */
const raw = new Redis(redis.url)
t.teardown(() => raw.disconnect())

let opened = 0
/** A store with keys of its own, ready to charge. */
async function connect(t: Test, options: Partial<RedisStoreOptions> = {}) {
  const keyPrefix = `test-${opened++}:`
  const store = createRedisStore({ ...at(redis.url), keyPrefix, ...options })
  t.teardown(() => store.close())
  // What no bucket holds is refused, so it leaves no key.
  await until(() => store.charge([debitOf({ tokens: 1000 })]))
  const isCharged = async (...debits: ReturnType<typeof debitOf>[]) => isAdmitted(debits, await store.charge(debits))
  return { store, isCharged, keyPrefix: options.keyPrefix ?? keyPrefix }
}

/** Tries until it no longer fails. */
async function until<T>(attempt: () => Promise<T>, ms = 5000): Promise<T> {
  const deadline = Date.now() + ms
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

async function open(t: Test): Promise<StoreUnderTest> {
  const clock = { us: T0 }
  const { store } = await connect(t, { nowUs: () => clock.us })
  return { store, clock }
}

const keyOf = (prefix: string, { bucket, id }: ReturnType<typeof debitOf>) => `${prefix}${bucket.name}:${id}`

storeContract(t, 'the Redis store', open)

t.test('the memory store and the Redis store are twins', async (t) => {
  for (const [kind, what] of [
    ['calm', 'for any calls'],
    ['wild', 'with reloads and a clock that jumps'],
  ] as const) {
    t.test(`the same debts ${what}`, async (t) => {
      const clock = { us: T0 }
      let life = 0
      let calls = 0
      const { store } = await connect(t, { nowUs: () => clock.us })
      await fc.assert(
        fc.asyncProperty(callSequences(kind), async (sequence) => {
          life++
          calls += sequence.length
          // A name of its own keeps each life apart from the ones before it.
          const named = sequence.map(
            ({ move, debits }): Call => ({
              move,
              debits: debits.map((debit) => ({
                ...debit,
                bucket: { ...debit.bucket, name: `${life}-${debit.bucket.name}` },
              })),
            }),
          )
          const memoryClock = { us: T0 }
          const memory = createMemoryStore({ maxBuckets: 1_000_000, clock: { nowUs: () => memoryClock.us } })
          clock.us = T0
          const [expected, actual] = await Promise.all([
            replay({ store: memory, clock: memoryClock }, named),
            replay({ store, clock }, named),
          ])
          return JSON.stringify(actual) === JSON.stringify(expected)
        }),
        { seed: 7, numRuns: 400 },
      )
      t.comment(`${life} lives of ${calls} calls`)
    })
  }

  t.test('one charge of any bucket found in any state', async (t) => {
    let us = T0
    let run = 0
    const { store, keyPrefix } = await connect(t, { nowUs: () => us })
    const time = fc.oneof(
      fc.integer({ min: 0, max: 100_000_000_000 }),
      fc.integer({ min: -CLOCK_STEP_US - 1, max: CLOCK_STEP_US + 1 }),
      fc.constantFrom(-CLOCK_STEP_US - 1, -CLOCK_STEP_US, 0, 1, -3_600_000_000, T0 - 2 ** 49),
    )
    const found = fc.record({
      tokens: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 1_000_000 })),
      seconds: fc.constantFrom(1, 60, 3600, 86_400),
      burst: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 1_000_000_000 })),
      part: fc.oneof(
        fc.constantFrom(0, 1, 1.5),
        fc.integer({ min: 0, max: 1_000_000 }).map((n) => n / 1e6),
      ),
      elapsedUs: time,
      tokensWanted: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1000 })),
    })
    await fc.assert(
      fc.asyncProperty(found, async ({ tokens, seconds, burst, part, elapsedUs, tokensWanted }) => {
        const bucket = createBucket('b', { tokens, seconds }, burst)
        const debit = debitOf({ bucket, id: `${run++}`, tokens: Math.min(burst, tokensWanted) })
        const key = keyOf(keyPrefix, debit)
        const debt = Math.floor(bucket.capacity * part)
        us = T0
        const timeUs = T0 - elapsedUs
        await raw.set(key, writeBucket(debt, timeUs))
        const [before] = await store.charge([debit])
        const [value, ttl] = await look(key)
        if (before !== debtAt(bucket, debt, timeUs, T0)) return false
        const isAdmitted = admits(bucket, before, debit.cost)
        const isTakenOver = timeUs - T0 > CLOCK_STEP_US && before > 0
        if (!isAdmitted && !isTakenOver) return value === `${debt} ${timeUs}` && ttl === -1
        const after = isAdmitted ? before + debit.cost : before
        const afterUs = timeAfter(timeUs, T0)
        const ttlMs = Math.ceil(drainUs(bucket, after) / 1000) + Math.ceil((afterUs - T0) / 1000)
        // What drains at once may be gone by now.
        if (value === null) return ttlMs < 2000
        return value === `${after} ${afterUs}` && isAbout(ttl, ttlMs)
      }),
      { seed: 11, numRuns: 1500 },
    )
  })
})

/** A time to live that was set a moment ago; beyond 2^53 microseconds it need not be exact. */
function isAbout(ttl: number, ms: number): boolean {
  return ttl > ms - 2000 - ms * 1e-12 && ttl <= ms * (1 + 1e-12)
}

/** A bucket's `debt time` and its milliseconds to live: -1 where it lives for ever. */
async function look(key: string): Promise<[string | null, number]> {
  const [value, ttl] = await Promise.all([raw.getBuffer(key), raw.pttl(key)])
  return [value && readBucket(value).join(' '), ttl]
}

t.test('a key is <prefix><name>:<id>, with 96 bits of a pseudonym as bytes', async (t) => {
  const { store, keyPrefix } = await connect(t)
  const pseudonym = randomBytes(16)
  await store.charge([
    debitOf({ id: 'x', tag: 'net' }),
    debitOf({ bucket: createBucket('device+newcomers', { tokens: 1, seconds: 60 }, 9), id: 'y', tag: 'net' }),
    debitOf({ id: pseudonym.toString('base64url'), tag: 'net' }),
  ])
  const keys = (await raw.keysBuffer(`${keyPrefix}*`)).map((key) => key.toString('latin1'))
  const short = pseudonym.subarray(0, 12).toString('latin1')
  t.same(keys.sort(), [`${keyPrefix}device+newcomers:y`, `${keyPrefix}three:x`, `${keyPrefix}three:${short}`].sort())
})

t.test('a key lives as long as its debt', async (t) => {
  const { store, keyPrefix } = await connect(t)
  await store.charge([debitOf({ tokens: 2 })])
  const ttl = await raw.pttl(keyOf(keyPrefix, debitOf()))
  t.ok(ttl > 18_000 && ttl <= 20_000, `${ttl} ms for 20 s of debt`)
})

t.test('a key whose clock is ahead lives until that time has passed too', async (t) => {
  let us = T0
  const { store, keyPrefix } = await connect(t, { nowUs: () => us })
  await store.charge([debitOf()])
  us -= 1_000_000
  await store.charge([debitOf()])
  const ttl = await raw.pttl(keyOf(keyPrefix, debitOf()))
  t.ok(ttl > 20_000 && ttl <= 21_000, `${ttl} ms for 20 s of debt from a second ahead`)
})

t.test('a drained bucket leaves no key', async (t) => {
  const { store, keyPrefix } = await connect(t)
  await store.charge([debitOf({ bucket: createBucket('fast', { tokens: 5, seconds: 1 }, 3) })])
  t.equal((await raw.keys(`${keyPrefix}*`)).length, 1)
  await until(async () => (await raw.keys(`${keyPrefix}*`)).length === 0 || Promise.reject(new Error('still there')))
})

t.test('no key is without a time to live, whatever was charged', async (t) => {
  let us = T0
  const { store, keyPrefix } = await connect(t, { nowUs: () => us })
  for (const sequence of fc.sample(callSequences('wild'), { seed: 3, numRuns: 20 })) {
    for (const { move, debits } of sequence) {
      us += move
      await store.charge(debits)
    }
  }
  const keys = await raw.keys(`${keyPrefix}*`)
  const ttls = await Promise.all(keys.map((key) => raw.pttl(key)))
  t.equal(keys.length, 12)
  t.notOk(ttls.includes(-1))
})

t.test("the clock is Redis's own", async (t) => {
  const { store, keyPrefix } = await connect(t)
  const now = async () => {
    const [seconds, us] = (await raw.time()) as unknown as [string, string]
    return Number(seconds) * 1e6 + Number(us)
  }
  const before = await now()
  await store.charge([debitOf()])
  const after = await now()
  const [, written] = readBucket((await raw.getBuffer(keyOf(keyPrefix, debitOf())))!)
  t.ok(before <= written && written <= after)
})

t.test('a token comes back in real time', async (t) => {
  const { isCharged } = await connect(t)
  const debit = debitOf({ bucket: createBucket('quick', { tokens: 5, seconds: 1 }, 2) })
  t.same([await isCharged(debit), await isCharged(debit), await isCharged(debit)], [true, true, false])
  const from = performance.now()
  await until(async () => (await isCharged(debit)) || Promise.reject(new Error('refused')))
  t.ok(performance.now() - from > 100, 'a fifth of a second, less what the calls took')
})

t.test('a forgotten script is sent again', async (t) => {
  const { isCharged } = await connect(t)
  t.ok(await isCharged(debitOf({ tokens: 2 })))
  await raw.script('FLUSH')
  const passed = await Promise.all([isCharged(debitOf()), isCharged(debitOf())])
  t.same(passed.filter(Boolean).length, 1)
})

t.test('lost data is a full bucket', async (t) => {
  const { isCharged } = await connect(t)
  t.ok(await isCharged(debitOf({ tokens: 3 })))
  await raw.flushall()
  t.ok(await isCharged(debitOf({ tokens: 3 })))
  t.notOk(await isCharged(debitOf()))
})

t.test('what cannot be read as a bucket is a full one, and becomes one', async (t) => {
  const { store, isCharged, keyPrefix } = await connect(t, { nowUs: () => T0 })
  const key = keyOf(keyPrefix, debitOf())
  // Parts of an empty bucket of this moment, and bytes around it: it must not be picked out of them.
  const empty = writeBucket(3 * TOKEN, T0)
  const garbage = [
    ...['', ' ', '1', 'nan nan', '12345678', '123456789012345', `${3 * TOKEN} ${T0}`, '{"debt":3}', '\0'.repeat(10)],
    ...[0, 1, 7].map((length) => empty.subarray(0, length)),
    ...[' ', '\0', 'x', '\xff'].map((byte) => Buffer.concat([Buffer.from(byte, 'latin1'), empty])),
    Buffer.concat([empty, Buffer.alloc(10)]),
  ]
  for (const value of garbage) {
    await raw.set(key, value)
    t.same(await store.charge([debitOf()]), [0], JSON.stringify(value))
    t.same(await store.charge([debitOf()]), [TOKEN])
  }
  const spoil = [
    () => raw.rpush(key, 'a'),
    () => raw.hset(key, 'a', '1'),
    () => raw.sadd(key, 'a'),
    () => raw.xadd(key, '*', 'a', '1'),
  ]
  for (const otherType of spoil) {
    await raw.del(key)
    await otherType()
    const type = await raw.type(key)
    t.ok(await isCharged(debitOf({ tokens: 3 })), type)
    t.notOk(await isCharged(debitOf()))
    t.ok((await raw.pttl(key)) > 0)
  }
})

t.test('absurd numbers in a key lock nobody for longer than an empty bucket', async (t) => {
  let us = T0
  const { isCharged, keyPrefix } = await connect(t, { nowUs: () => us })
  const key = keyOf(keyPrefix, debitOf())
  const most = 2 ** 53 - 1
  for (const [debt, time] of [
    [most, most],
    [most, 2 ** 48],
    [TOKEN, most],
    [2 ** 63, T0],
  ] as const) {
    await raw.set(key, writeBucket(debt, time))
    await isCharged(debitOf())
    us += 10_000_000
    t.ok(await isCharged(debitOf()), `${debt} ${time}`)
  }
})

t.test('two instances that race on one bucket pass exactly its burst together', async (t) => {
  const keyPrefix = 'raced:'
  const stores = await Promise.all([connect(t, { keyPrefix }), connect(t, { keyPrefix })])
  const raced = debitOf({ bucket: createBucket('raced', { tokens: 1, seconds: 3600 }, 50) })
  const shared = debitOf({ bucket: createBucket('wide', { tokens: 1, seconds: 3600 }, 1000) })
  const passed = await Promise.all(
    Array.from({ length: 400 }, (_, i) => stores[i % 2]!.isCharged(shared, { ...raced, cost: TOKEN })),
  )
  t.equal(passed.filter(Boolean).length, 50)
  const [debt] = await stores[0].store.charge([{ ...shared, cost: shared.bucket.capacity + 1 }])
  t.equal(Math.round(debt! / TOKEN), 50, 'and what the refused ones would have taken elsewhere is untouched')
})

t.test("a bucket's key takes few bytes of Redis", async (t) => {
  const { store } = await connect(t, { keyPrefix: 'sluice:' })
  const debit = debitOf({
    bucket: createBucket('device', { tokens: 1, seconds: 60 }, 30),
    id: randomBytes(16).toString('base64url'),
  })
  await store.charge([debit])
  const [key] = await raw.keysBuffer('sluice:*')
  const bytes = Number(await raw.call('MEMORY', ['USAGE', key!]))
  t.comment(`MEMORY USAGE of one bucket: ${bytes} bytes`)
  t.ok(bytes <= 100)
})

/** The error with which something must fail, and the milliseconds it took. */
async function failure(attempt: () => Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const from = performance.now()
  try {
    await attempt()
  } catch (error) {
    return { error, ms: performance.now() - from }
  }
  throw new Error('it did not fail')
}

function isUnavailable(t: Test, { error, ms }: { error: unknown; ms: number }): void {
  t.ok(error instanceof SluiceError && error.code === 'store_unavailable', String(error))
  t.ok(ms < 500, `after ${Math.round(ms)} ms`)
}

function storeAt(t: Test, url: string, options: Partial<RedisStoreOptions> = {}) {
  const store = createRedisStore({ ...at(url), keyPrefix: 'k:', ...options })
  t.teardown(() => store.close())
  return store
}

t.test('it starts while Redis is down, rejects at once, and works when Redis comes up', async (t) => {
  const port = await freePort()
  const store = storeAt(t, `redis://127.0.0.1:${port}`)
  isUnavailable(t, await failure(() => store.charge([debitOf()])))
  isUnavailable(t, await failure(() => store.ping()))
  const server = await startRedis([], port)
  t.teardown(() => server.stop())
  t.same(await until(() => store.charge([debitOf()])), [0])
})

t.test('a killed Redis rejects what is under way and what comes after, and works when it is back', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const store = storeAt(t, server.url)
  await until(() => store.charge([debitOf()]))
  process.kill(server.pid, 'SIGSTOP')
  const underWay = failure(() => store.charge([debitOf()]))
  await server.stop()
  isUnavailable(t, await underWay)
  isUnavailable(t, await failure(() => store.charge([debitOf()])))
  const again = await startRedis([], server.port)
  t.teardown(() => again.stop())
  t.same(await until(() => store.charge([debitOf()])), [0], 'nothing was queued up, and the data is lost')
})

t.test('a Redis that lets nobody charge is away, for a probe too', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const store = storeAt(t, server.url)
  await until(() => store.ping())
  const faults: [string, string[], string[]][] = [
    ['READONLY', ['replicaof', '127.0.0.1', '1'], ['replicaof', 'no', 'one']],
    ['OOM', ['config', 'set', 'maxmemory', '1'], ['config', 'set', 'maxmemory', '0']],
    ['NOREPLICAS', ['config', 'set', 'min-replicas-to-write', '1'], ['config', 'set', 'min-replicas-to-write', '0']],
    ['NOPERM', ['acl', 'setuser', 'default', '-eval', '-evalsha'], ['acl', 'setuser', 'default', '+@all']],
  ]
  for (const [name, inject, lift] of faults) {
    await server.cli(...inject)
    isUnavailable(t, await failure(() => store.charge([debitOf()])))
    t.match((await failure(() => store.ping())).error, { message: new RegExp(name) })
    await server.cli(...lift)
    await t.resolves(until(() => store.ping()))
  }
})

t.test('a probe leaves no key', async (t) => {
  const { store, keyPrefix } = await connect(t)
  await store.ping()
  await until(async () => (await raw.keys(`${keyPrefix}*`)).length === 0 || Promise.reject(new Error('still there')))
})

t.test('a wrong password rejects as an outage, the right one works', async (t) => {
  const server = await startRedis(['--requirepass', 'right'])
  t.teardown(() => server.stop())
  const wrong = storeAt(t, server.url, { password: 'wrong' })
  isUnavailable(t, await failure(() => wrong.charge([debitOf()])))
  const none = storeAt(t, server.url)
  isUnavailable(t, await failure(() => until(() => none.charge([debitOf()]), 200)))
  const right = storeAt(t, server.url, { password: 'right' })
  t.same(await until(() => right.charge([debitOf()])), [0])
})

t.test('a connection that has gone silent is given up for a new one', async (t) => {
  const sockets = new Set<Socket>()
  const middle = createServer((client) => {
    const server = createConnection(redis.port, '127.0.0.1')
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    client.pipe(server).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(middle, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    middle.close()
  })
  const store = storeAt(t, `redis://127.0.0.1:${(middle.address() as { port: number }).port}`)
  await until(() => store.ping())
  // As after a failover to another machine: packets go nowhere, and no end of the connection is ever told.
  for (const socket of sockets) socket.unpipe().pause()
  const lost = failure(() => store.charge([debitOf()]))
  t.ok((await lost).ms < 10_000)
  await t.resolves(until(() => store.ping()))
})

t.test('a rejection says why there is no connection', async (t) => {
  const down = storeAt(t, `redis://127.0.0.1:${await freePort()}`)
  const server = await startRedis(['--requirepass', 'right'])
  t.teardown(() => server.stop())
  const wrong = storeAt(t, server.url, { password: 'wrong' })
  for (const [store, why] of [
    [down, /ECONNREFUSED/],
    [wrong, /WRONGPASS/],
  ] as const) {
    await until(async () => {
      const { error } = await failure(() => store.charge([debitOf()]))
      if (!why.test(String(error))) throw error
    }, 2000)
  }
})

t.test('a closed store rejects', async (t) => {
  const { store } = await connect(t)
  await store.close()
  isUnavailable(t, await failure(() => store.charge([debitOf()])))
})

t.test('a process with a closed store ends, whether Redis was there or not', async (t) => {
  for (const url of [redis.url, `redis://127.0.0.1:${await freePort()}`]) {
    const code = `
      import { createRedisStore } from ${JSON.stringify(new URL('../../src/stores/redis.ts', import.meta.url))}
      const store = createRedisStore({ ...${JSON.stringify(at(url))}, keyPrefix: 'e:', connectTimeout: 5000 })
      setTimeout(async () => {
        const charging = store.ping().catch(() => {})
        await store.close()
        await charging
        console.log('closed')
      }, 300)
    `
    const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    let closedAt = 0
    child.stdout.on('data', () => {
      closedAt = performance.now()
    })
    const [exitCode] = await once(child, 'exit')
    t.equal(exitCode, 0)
    t.ok(
      closedAt > 0 && performance.now() - closedAt < 1000,
      `${Math.round(performance.now() - closedAt)} ms after close`,
    )
  }
})
