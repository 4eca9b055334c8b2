import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { monotonicClock } from '../../src/clock.ts'
import type { Evidence } from '../../src/identity/evidence.ts'
import type { Identity } from '../../src/identity/identity.ts'
import { createMembership, type Membership } from '../../src/identity/membership.ts'
import { guardRoll } from '../../src/identity/roll.ts'
import { guardStore } from '../../src/limiter/outage.ts'
import type { AdmissionPolicy } from '../../src/policy/types.ts'
import { createRedisStore, type RedisStoreOptions } from '../../src/stores/redis.ts'
import { eventually } from '../fixtures/app.ts'
import { ADMISSION, networkOf, shows, T0 } from '../fixtures/evidence.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { at } from '../fixtures/redis-store.ts'
import { startCluster } from '../fixtures/redis-topologies.ts'

const HOUR_MS = 3_600_000
/** Of the membership's clock, after which a member is noted anew. */
const TOUCH_US = 10_000_000

const redis = await startRedis()
t.teardown(() => redis.stop())

type Instance = {
  readonly results: string[]
  readonly clock: { aheadUs: number }
  readonly membership: Membership
  stand(evidence: Evidence): Promise<Identity>
}

let opened = 0

/** So many instances that share a Redis; their own clocks can be put ahead. */
async function start(
  t: Test,
  {
    count = 2,
    policy = {},
    ...options
  }: Partial<RedisStoreOptions> & { count?: number; policy?: Partial<AdmissionPolicy> } = {},
): Promise<readonly Instance[]> {
  const keyPrefix = `test-${opened++}:`
  return Promise.all(
    Array.from({ length: count }, async () => {
      const store = createRedisStore({ ...at(redis.url), keyPrefix, ...options })
      await store.opened
      const { timeout = 10_000 } = options
      const events = { called() {}, changed() {} }
      const guard = guardStore(store, { timeout, clock: monotonicClock, random: Math.random, events })
      t.teardown(() => {
        guard.close()
        return store.close()
      })
      const results: string[] = []
      const clock = { aheadUs: 0 }
      const membership = createMembership({
        policy: { ...ADMISSION, ...policy },
        onAdmission: (result) => results.push(result),
        roll: guardRoll(guard, store.members, timeout + 60_000),
      })
      const stand = async (evidence: Evidence) => {
        const nowUs = monotonicClock.nowUs() + clock.aheadUs
        return membership.stand(evidence, nowUs, T0 + nowUs / 1000)
      }
      return { results, clock, membership, stand }
    }),
  )
}

const jar = (id: string, issuedMs = T0 - HOUR_MS) => shows({ device: { id, issuedMs } })
const membersAt = async (instance: Instance) => (await instance.stand(shows())).crowds[0]!.members

t.test('who was admitted by one instance is a member at the others', async (t) => {
  const [one, two] = await start(t)
  t.match(await one!.stand(jar('a')), { tier: 'member', pool: 'members' })
  t.match(await two!.stand(jar('a')), { tier: 'member', pool: 'members', debut: null })
  t.same(two!.results, [], 'and takes no admission there')
  t.match(await two!.stand(jar('b')), { crowds: [{ members: 2 }] })
  t.match(await two!.stand(shows()), { pool: 'newcomers', crowds: [{ members: 2 }] })

  const token = shows({ token: { id: 'token', tag: 'token' } })
  t.match(await one!.stand(token), { pool: 'newcomers' })
  one!.clock.aheadUs += 1_500_000
  t.match(await one!.stand(token), { tier: 'token', pool: 'members' })
})

t.test('who is known is answered at once, without a promise', async (t) => {
  const [one] = await start(t)
  await one!.stand(jar('a'))
  const nowUs = monotonicClock.nowUs()
  t.notOk(one!.membership.stand(jar('a'), nowUs, T0) instanceof Promise)
  t.notOk(one!.membership.stand(shows(), nowUs, T0) instanceof Promise, 'nor does a class wait')
})

t.test('requests of one identity that come together are one admission', async (t) => {
  const [one] = await start(t)
  const stood = await Promise.all(Array.from({ length: 20 }, () => one!.stand(jar('a'))))
  t.ok(stood.every(({ pool }) => pool === 'members'))
  t.same(one!.results, ['admitted'])
})

t.test('the admissions of a network are all instances’ together', async (t) => {
  const instances = await start(t, { policy: { burst: 10, rate: { tokens: 1, seconds: 3600 } } })
  await Promise.all(
    Array.from({ length: 60 }, (_, i) => instances[i % 2]!.stand(shows({ device: { id: `fresh-${i}` } }))),
  )
  const results = instances.flatMap(({ results }) => results)
  t.equal(results.filter((result) => result === 'admitted').length, 10)
  t.equal(results.filter((result) => result === 'limited').length, 50)
  t.match(await instances[0]!.stand(jar('returning')), { pool: 'members' }, 'who returns has a lane of its own')
})

t.test('so is the room', async (t) => {
  const instances = await start(t)
  const tiny = networkOf('tiny', { maxDevices: 8 })
  const ask = (i: number) =>
    instances[i % 2]!.stand(shows({ network: tiny, device: { id: `jar-${i}`, issuedMs: T0 - HOUR_MS } }))
  await Promise.all(Array.from({ length: 40 }, (_, i) => ask(i)))
  const results = instances.flatMap(({ results }) => results)
  t.equal(results.filter((result) => result === 'admitted').length, 8)
  t.equal(results.filter((result) => result === 'full').length, 32)
})

t.test('a parent network’s room and admissions too: on every level, or on none', async (t) => {
  const instances = await start(t)
  const network = (i: number) =>
    networkOf(`64-${i}`, {
      tag: '48',
      maxDevices: 4,
      parents: [
        { id: '56', factor: 1 },
        { id: '48', factor: 2 },
      ],
    })
  const stood = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      instances[i % 2]!.stand(shows({ network: network(i % 3), device: { id: `jar-${i}`, issuedMs: T0 - HOUR_MS } })),
    ),
  )
  t.equal(stood.filter(({ pool }) => pool === 'members').length, 4, 'the middle one is the narrowest')
  instances[0]!.clock.aheadUs += 2_000_000
  const { crowds } = await instances[0]!.stand(
    shows({ network: network(0), device: { id: 'one-more', issuedMs: T0 - HOUR_MS } }),
  )
  t.match(crowds.slice(1), [{ members: 4 }, { members: 4 }])
})

t.test('who has been away for the idle time is gone everywhere; who was seen by one instance is not', async (t) => {
  const [one, two] = await start(t, { policy: { idle: 1500 } })
  await one!.stand(jar('stays'))
  await one!.stand(jar('leaves'))
  await two!.stand(jar('stays'))
  for (let i = 0; i < 8; i++) {
    await delay(250)
    two!.clock.aheadUs += TOUCH_US
    await two!.stand(jar('stays'))
  }
  await one!.stand(jar('asks'))
  t.equal(await membersAt(one!), 2, 'stays and asks')
})

t.test('an aged member is one everywhere', async (t) => {
  const [one, two] = await start(t)
  const aged = shows({ device: { id: 'aged', issuedMs: T0 - 2 * HOUR_MS, grade: 3 } })
  t.match(await one!.stand(aged), { isSettled: true })
  // Its mark says nothing to an instance that meets it away from home.
  const away = shows({ device: { id: 'aged', issuedMs: T0 - 2 * HOUR_MS, grade: 0, isHome: false } })
  t.match(await two!.stand(away), { isSettled: true, crowds: [{ members: 1, halfWeights: 2 }] })
})

t.test('a flood of marks that are not admitted asks Redis at most so often a second', async (t) => {
  const [one] = await start(t, { count: 1, policy: { burst: 1, rate: { tokens: 1, seconds: 86_400 } } })
  await one!.stand(shows({ device: { id: 'first' } }))
  const before = await calls()
  const begin = performance.now()
  for (let i = 0; i < 3000; i++) await one!.stand(shows({ device: { id: `farm-${i}` } }))
  const seconds = Math.ceil((performance.now() - begin) / 1000) + 1
  // A look, and the admission that is refused.
  const asked = (await calls()) - before
  t.ok(asked <= 2 * 256 * seconds, `${asked} calls in ${seconds} s`)
  const repeated = await calls()
  for (let i = 0; i < 100; i++) await one!.stand(shows({ device: { id: 'farm-2999' } }))
  t.ok((await calls()) - repeated <= 2, 'and one that was turned away is not asked about again at once')
})

t.test('nor does one from all the networks of a parent in turn', async (t) => {
  const [one] = await start(t, { count: 1, policy: { burst: 1, rate: { tokens: 1, seconds: 86_400 } } })
  const from = (i: number) =>
    shows({
      network: networkOf(`64-${i}`, { tag: '48', parents: [{ id: '48', factor: 2 }] }),
      device: { id: `farm-${i}` },
    })
  const before = await calls()
  const begin = performance.now()
  for (let i = 0; i < 3000; i++) await one!.stand(from(i))
  const seconds = Math.ceil((performance.now() - begin) / 1000) + 1
  const asked = (await calls()) - before
  t.ok(asked <= 2 * 2 * 256 * seconds + seconds, `${asked} calls in ${seconds} s`)
  t.ok(asked > 256, 'a parent may ask for more than one network')
  const nowUs = monotonicClock.nowUs()
  const floods = Array.from({ length: 600 }, (_, i) => one!.membership.stand(from(5000 + i), nowUs, T0))
  t.ok(
    floods.some((stood) => !(stood instanceof Promise)),
    'who is not asked about waits for nothing',
  )
  await Promise.all(floods)
})

t.test('what is kept on the roll is bounded by its room, and goes with the idle time', async (t) => {
  const [one] = await start(t, { count: 1, policy: { idle: 1000 } })
  const network = networkOf('bounded', { maxDevices: 5 })
  const before = Number(await redis.cli('dbsize'))
  for (let i = 0; i < 200; i++) {
    await one!.stand(shows({ network, device: { id: `jar-${i}`, issuedMs: T0 - 2 * HOUR_MS, grade: 3 } }))
    await one!.stand(shows({ network: networkOf(`looked-${i}`), token: { id: `token-${i}`, tag: 't' } }))
  }
  const [key] = (await redis.cli('keys', '*+members:bounded')).split('\n')
  t.ok(Number(await redis.cli('zcard', key!)) <= 5)
  t.ok(Number(await redis.cli('dbsize')) - before <= 4, 'members, aged, two lanes of admissions')
  await eventually('nothing is left of it', async () => (await redis.cli('exists', key!)) === '0')
})

t.test('a member that asks all the time costs Redis a call in ten seconds', async (t) => {
  const [one] = await start(t, { count: 1 })
  await one!.stand(jar('a'))
  const before = await calls()
  const fromUs = monotonicClock.nowUs()
  for (let ms = 0; ms < 60_000; ms += 20) {
    one!.clock.aheadUs = ms * 1000
    await one!.stand(jar('a'))
    await one!.stand(shows())
    // What was asked behind the requests' back is answered before the next seconds come.
    if (ms % 1000 === 0) await delay(5)
  }
  const seconds = (one!.clock.aheadUs + monotonicClock.nowUs() - fromUs) / 1e6
  const asked = (await calls()) - before
  t.ok(asked >= 5 && asked <= Math.ceil(seconds / 10), `${asked} calls in ${seconds} s`)
})

async function calls(): Promise<number> {
  const stats = await redis.cli('info', 'commandstats')
  return [...stats.matchAll(/cmdstat_(?:evalsha|eval):calls=(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0)
}

t.test('while Redis is away an instance goes on by itself, and comes back to the roll', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const [one, two] = await start(t, { ...at(server.url), timeout: 200 })
  await one!.stand(jar('a'))
  process.kill(server.pid, 'SIGSTOP')
  t.match(await one!.stand(jar('b')), { pool: 'members' }, 'admitted here')
  t.match(await one!.stand(jar('a')), { pool: 'members' })
  process.kill(server.pid, 'SIGCONT')
  await eventually('whom it admitted alone is on the roll when noted again', async () => {
    one!.clock.aheadUs += TOUCH_US
    await one!.stand(jar('b'))
    const [key] = (await server.cli('keys', '*+members:office')).split('\n')
    return (await server.cli('zscore', key!, 'b')) !== ''
  })
  t.match(await two!.stand(jar('b')), { pool: 'members' })
  t.same(two!.results, [])
})

t.test('on a cluster', async (t) => {
  const nodes = await startCluster(t)
  const servers = { kind: 'cluster', nodes: [`redis://127.0.0.1:${nodes[0]!.port}`] } as const
  const instances = await start(t, { servers })
  const network = (i: number) => networkOf(`64-${i}`, { tag: `48-${i}`, parents: [{ id: `48-${i}`, factor: 4 }] })
  for (let i = 0; i < 20; i++) {
    const evidence = shows({ network: network(i), device: { id: `jar-${i}`, issuedMs: T0 - HOUR_MS } })
    await eventually('admitted', async () => (await instances[0]!.stand(evidence)).pool === 'members')
    t.match(await instances[1]!.stand(evidence), { pool: 'members', crowds: [{ members: 1 }, { members: 1 }] })
  }
})
