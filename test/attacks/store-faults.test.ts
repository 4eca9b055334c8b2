import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { createBucket } from '../../src/limiter/plan.ts'
import { createRedisStore, type RedisStoreOptions } from '../../src/stores/redis.ts'
import { debitOf, isAdmitted } from '../contracts/store.ts'
import { eventually, startTestApp, type TestApp } from '../fixtures/app.ts'
import { startDelay } from '../fixtures/delay.ts'
import { limitOf } from '../fixtures/policy.ts'
import { freePort, type RedisServer, startRedis } from '../fixtures/redis-server.ts'
import { at } from '../fixtures/redis-store.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/**
 * Faults of the shared store, each injected into a real redis-server. What test/stores/redis.test.ts proves of the store alone
 * (scripts flushed, garbage and other types in keys, keys without an end, two instances racing) and
 * test/stores/redis-topologies.test.ts of several servers (MOVED, ASK, sentinel switch) is not repeated here.
 */

const hour = createBucket('hour', { tokens: 1, seconds: 3600 }, 10)
const TIMEOUT = 100

function open(t: Test, url: string, options: Partial<RedisStoreOptions> = {}) {
  const store = createRedisStore({ ...at(url), keyPrefix: 'fault:', ...options })
  t.teardown(() => store.close())
  return store
}

/** A Redis, an upstream and the whole proxy between them, at 1 an hour from a burst of 5 unless told otherwise. */
async function proxied(t: Test, redis: { readonly url: string }, changes: { readonly timeout?: number } = {}) {
  const upstream = await startUpstream(t)
  const limit = limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 5, newcomers: null })
  const app = await startTestApp(t, {
    upstream: { url: upstream.url },
    limits: [limit],
    store: {
      kind: 'redis',
      servers: { kind: 'single', url: redis.url },
      password: null,
      tls: null,
      maxBuckets: 1000,
      keyPrefix: 'app:',
      timeout: changes.timeout ?? TIMEOUT,
      onError: 'local',
      expectedInstances: 1,
      lease: 'auto',
    },
  })
  return app
}

/** The statuses of requests one after another by one client, and the longest any of them took. */
async function ask(app: TestApp, count: number, agent = 'one') {
  const statuses: number[] = []
  let slowest = 0
  for (let i = 0; i < count; i++) {
    const from = performance.now()
    const answer = await fetch(app.url, { headers: { 'User-Agent': agent } })
    await answer.arrayBuffer()
    slowest = Math.max(slowest, performance.now() - from)
    statuses.push(answer.status)
  }
  return { statuses, slowest }
}

const isUp = async (app: TestApp) => (await app.metric('sluice_store_up')) === 1

t.test('absent at start: requests are limited in process, and in Redis once it is there', async (t) => {
  const port = await freePort()
  const app = await proxied(t, { url: `redis://127.0.0.1:${port}` })
  t.same((await ask(app, 7)).statuses, [200, 200, 200, 200, 200, 429, 429])
  const redis = await startRedis([], port)
  t.teardown(() => redis.stop())
  await eventually('the breaker closes', () => isUp(app))
  t.equal((await ask(app, 1, 'two')).statuses[0], 200)
  t.match(await redis.cli('keys', 'app:*'), /^app:/)
  t.equal(app.logged('the store is away: limits go on without it').length, 1, 'one line a transition')
  t.equal(app.logged('the store answers again').length, 1)
})

for (const [fault, inject] of [
  ['killed', (redis: RedisServer) => redis.stop()],
  ['stopped (SIGSTOP)', async (redis: RedisServer) => void process.kill(redis.pid, 'SIGSTOP')],
  ['out of memory (OOM)', (redis: RedisServer) => redis.cli('config', 'set', 'maxmemory', '1')],
  ['read-only after a failover', (redis: RedisServer) => redis.cli('replicaof', '127.0.0.1', '1')],
] as const) {
  t.test(`${fault}: no request fails, and none waits much longer than the timeout`, async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const app = await proxied(t, redis)
    await ask(app, 1)
    await inject(redis)
    const { statuses, slowest } = await ask(app, 30, 'two')
    t.ok(
      statuses.every((status) => status === 200 || status === 429),
      statuses.join(' '),
    )
    // One share in process, and what was charged by a Redis that had not gone yet.
    t.ok(statuses.filter((status) => status === 200).length <= 10)
    t.ok(slowest < TIMEOUT + 400, `${Math.round(slowest)} ms`)
    await eventually('the breaker opens', async () => {
      await ask(app, 1, `opener-${Math.random()}`)
      return !(await isUp(app))
    })
  })
}

t.test(
  'killed and loading what it kept (LOADING): no request fails, and coming back is no fresh allowance',
  async (t) => {
    const kept = ['--dir', t.testdir({}), '--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024']
    const redis = await startRedis(kept)
    t.teardown(() => redis.stop())
    const app = await proxied(t, redis, { timeout: 1000 })
    t.same((await ask(app, 6)).statuses, [200, 200, 200, 200, 200, 429])
    await redis.cli('eval', "for i = 1, 1500 do redis.call('SET', 'filler:' .. i, string.rep('x', 100)) end", '0')
    await redis.cli('save')
    await redis.stop()
    const loading = startRedis(kept, redis.port)
    t.teardown(async () => (await loading).stop())
    await eventually('it is loading', async () => (await redis.cli('ping').catch(() => '')).startsWith('LOADING'))
    const { statuses } = await ask(app, 20)
    t.ok(statuses.every((status) => status === 200 || status === 429))
    t.ok(statuses.filter((status) => status === 200).length <= 5, 'one share in process')
    await loading
    await eventually('the breaker closes', () => isUp(app))
    t.same((await ask(app, 3)).statuses, [429, 429, 429])
  },
)

t.test('stopped and going on: charges that nobody waited for are not done late', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const store = open(t, redis.url, { timeout: 100 })
  await store.opened
  const debit = debitOf({ bucket: hour })
  await store.charge([debit])
  process.kill(redis.pid, 'SIGSTOP')
  const late = Array.from({ length: 5 }, () => store.charge([debit]).then(() => 'charged', String))
  await new Promise((resolve) => setTimeout(resolve, 1000))
  process.kill(redis.pid, 'SIGCONT')
  for (const outcome of await Promise.all(late)) t.match(outcome, /later than its 100 ms/)
  const debts = await store.charge([debit])
  t.ok(debts[0]! <= 1_000_000, 'one token of debt, not six')
})

t.test('clocks an hour apart: Redis counts by its own, and the deadline follows it', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  // The instance's clock has no date at all; an hour's step of Redis's own is in test/stores/server-time.test.ts.
  const [one, two] = [open(t, redis.url, { timeout: 2000 }), open(t, redis.url, { timeout: 2000 })]
  await Promise.all([one.opened, two.opened])
  const debit = debitOf({ bucket: hour })
  let passed = 0
  for (let i = 0; i < 10; i++) {
    for (const store of [one, two]) if (isAdmitted([debit], await store.charge([debit]))) passed++
  }
  t.equal(passed, 10)
})

t.test('flushed: at most one extra burst', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const app = await proxied(t, redis, { timeout: 2000 })
  t.equal((await ask(app, 8)).statuses.filter((status) => status === 200).length, 5)
  await redis.cli('flushall')
  t.ok((await ask(app, 8)).statuses.filter((status) => status === 200).length <= 5)
})

t.test('too many clients: an outage, and over when it is', async (t) => {
  const redis = await startRedis(['--maxclients', '2'])
  t.teardown(() => redis.stop())
  const sockets = [0, 1].map(() => createConnection(redis.port, '127.0.0.1'))
  t.teardown(() => sockets.forEach((socket) => void socket.destroy()))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  const store = open(t, redis.url)
  t.equal(await store.opened, false)
  await t.rejects(store.charge([debitOf()]), { code: 'store_unavailable' })
  for (const socket of sockets) socket.destroy()
  await eventually('there is room', () =>
    store.ping().then(
      () => true,
      () => false,
    ),
  )
})

t.test('half a second away (+500 ms): decided without it, and what comes back late counts for nothing', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const shim = await startDelay(t, redis.port)
  const app = await proxied(t, shim)
  await ask(app, 1)
  shim.delay = 250
  const { statuses, slowest } = await ask(app, 20, 'two')
  t.ok(
    statuses.every((status) => status === 200 || status === 429),
    statuses.join(' '),
  )
  t.ok(statuses.filter((status) => status === 200).length <= 5, 'one share')
  t.ok(slowest < TIMEOUT + 400, `${Math.round(slowest)} ms`)
  shim.delay = 0
  await eventually('the breaker closes', () => isUp(app))
})

t.test('a reconnect storm: connections are tried seldom, whatever the load', async (t) => {
  let connections = 0
  const closing = createServer((socket) => {
    connections++
    socket.on('error', () => {})
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(closing, 'listening')
  t.teardown(() => closing.close())
  const store = open(t, `redis://127.0.0.1:${(closing.address() as { port: number }).port}`)
  const until = performance.now() + 2000
  while (performance.now() < until) {
    store.charge([debitOf()]).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  t.ok(connections > 1 && connections < 20, `${connections} connections in 2 s`)
})
