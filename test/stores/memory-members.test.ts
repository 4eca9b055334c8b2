import fc from 'fast-check'
import t from 'tap'
import type { RollCall } from '../../src/identity/roll.ts'
import { createMemoryMembers } from '../../src/stores/memory-members.ts'
import { createRedisStore } from '../../src/stores/redis.ts'
import { manualClock } from '../fixtures/app.ts'
import { networkOf } from '../fixtures/evidence.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { at } from '../fixtures/redis-store.ts'

const HOUR = 3_600_000

function start() {
  const clock = manualClock()
  const members = createMemoryMembers(clock)
  const call = (id: string, note: RollCall['note'] = null, network = networkOf('office')) =>
    members({ network, id, idle: HOUR, note })
  return { clock, call }
}

const FRESH = { isAged: false }
const AGED = { isAged: true }

t.test('a look enters nobody; who is noted is there, aged once and for good', async (t) => {
  const { call } = start()
  t.same(call('a'), { standing: 'absent', counts: [{ members: 0, aged: 0 }] })
  t.same(call('a', FRESH), { standing: 'fresh', counts: [{ members: 1, aged: 0 }] })
  t.same(call('a', AGED), { standing: 'aged', counts: [{ members: 1, aged: 1 }] })
  t.same(call('a', FRESH), { standing: 'aged', counts: [{ members: 1, aged: 1 }] })
  t.same(call('b', FRESH), { standing: 'fresh', counts: [{ members: 2, aged: 1 }] })
})

t.test('who is not noted for as long as a member may be idle is gone', async (t) => {
  const { clock, call } = start()
  call('leaves', AGED)
  call('stays', FRESH)
  clock.advance(HOUR / 2)
  call('stays', FRESH)
  clock.advance(HOUR / 2 - 1)
  t.same(call('leaves').standing, 'aged')
  clock.advance(1)
  t.same(call('leaves'), { standing: 'absent', counts: [{ members: 1, aged: 0 }] })
})

t.test('networks whose members have gone are let go of, so that others find room', async (t) => {
  const { clock, call } = start()
  for (let i = 0; i < 200_000; i++) call('a', FRESH, networkOf(`${i}`))
  t.equal(call('a', FRESH, networkOf('one-more')).standing, 'absent')
  t.equal(call('b', FRESH, networkOf('7')).standing, 'fresh', 'a network that is there takes members still')
  clock.advance(HOUR)
  t.equal(call('a', FRESH, networkOf('one-more')).standing, 'fresh')
})

t.test('it is the twin of the roll in Redis', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const store = createRedisStore({ ...at(redis.url), keyPrefix: 'test:' })
  t.teardown(() => store.close())
  await store.opened
  let life = 0
  const step = fc.record({
    network: fc.constantFrom(0, 1, 2),
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    note: fc.constantFrom(null, FRESH, FRESH, AGED),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const name = `life-${life++}`
      const members = createMemoryMembers(manualClock())
      const calls = steps.map(({ network, id, note }): RollCall => {
        const parents = [
          { id: `${name}-56`, factor: 1 },
          { id: `${name}-48`, factor: 2 },
        ]
        return { network: networkOf(`${name}-${network}`, { maxDevices: 3, parents }), id, idle: HOUR, note }
      })
      const answers = await Promise.all(calls.map((call) => store.members(call)))
      t.same(calls.map(members), answers)
    }),
    { seed: 5, numRuns: 150 },
  )
})
