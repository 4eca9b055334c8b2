import fc from 'fast-check'
import t, { type Test } from 'tap'
import { TOKEN } from '../../src/limiter/bucket.ts'
import { createLeases, LEASE_LIFE_US, type LeaseResult } from '../../src/limiter/leases.ts'
import type { GuardedStore } from '../../src/limiter/outage.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { type Debit, isAdmitted } from '../../src/limiter/store.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { debitOf } from '../contracts/store.ts'

/** A world of instances on one store, in a time of its own: calls take `delayUs` to the store and as long back. */
function world(t: Test, instances: number, options: { readonly exact?: string } = {}) {
  const clock = { us: 1_000_000_000, nowUs: () => clock.us }
  const store = createMemoryStore({ maxBuckets: 1_000_000, clock })
  const state = { delayUs: 500, calls: 0, isOpen: false, isLost: false }
  const counts = { leased: 0, spent: 0, returned: 0, expired: 0 }
  let events: { us: number; run: () => void }[] = []
  const after = (us: number, run: () => void) => events.push({ us: clock.us + us, run })

  async function advance(us: number): Promise<void> {
    const end = clock.us + us
    for (;;) {
      const next = events.filter((event) => event.us <= end).sort((a, b) => a.us - b.us)[0]
      if (next === undefined) break
      events = events.filter((event) => event !== next)
      clock.us = Math.max(clock.us, next.us)
      next.run()
      await new Promise((resolve) => setImmediate(resolve))
    }
    clock.us = end
  }

  const guard: Omit<GuardedStore, 'run'> = {
    charge(debits) {
      if (state.isOpen) return null
      state.calls++
      const { delayUs, isLost } = state
      return new Promise((resolve) => {
        after(delayUs, () => {
          const debts = store.charge(debits)
          after(delayUs, () => resolve(isLost ? null : debts))
        })
      })
    },
    get isOpen() {
      return state.isOpen
    },
    close() {},
  }
  const leases = Array.from({ length: instances }, () =>
    createLeases({
      guard,
      giveBack: async (debits) => {
        after(state.delayUs, () => {
          for (const debit of debits) store.charge([debit])
        })
      },
      clock,
      timeout: 20,
      isExact: (name) => name === options.exact,
      onTokens: (result: LeaseResult, tokens) => {
        counts[result] += tokens
      },
    }),
  )
  t.teardown(() => Promise.all(leases.map((lease) => lease.close())))

  /** Whether it was admitted, and whether that was decided at once. */
  async function request(instance: number, ...debits: Debit[]): Promise<{ passed: boolean | null; isLocal: boolean }> {
    const charging = leases[instance]!.charge(debits)
    if (!(charging instanceof Promise)) {
      return {
        passed: charging && debits.every((debit, i) => isAdmitted(debit, charging[i]!)),
        isLocal: charging !== null,
      }
    }
    const done: { debts?: readonly number[] | null } = {}
    charging.then((debts) => {
      done.debts = debts
    })
    while (done.debts === undefined) {
      await advance(100)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { debts } = done
    return { passed: debts && debits.every((debit, i) => isAdmitted(debit, debts[i]!)), isLocal: false }
  }
  const owed = (debit: Debit) => store.charge([{ ...debit, cost: debit.bucket.capacity + 1 }])[0]! / TOKEN
  return { clock, state, counts, store, leases, advance, after, request, owed }
}

const hot = debitOf({ bucket: createBucket('hot', { tokens: 1000, seconds: 1 }, 1000) })
const wide = debitOf({ bucket: createBucket('wide', { tokens: 1, seconds: 60 }, 1000) })
const slow = debitOf({ bucket: createBucket('slow', { tokens: 1, seconds: 3600 }, 5) })

t.test('a cold key is exact: one token, one call', async (t) => {
  const { request, advance, state, counts, owed } = world(t, 1)
  for (let i = 0; i < 4; i++) {
    t.same(await request(0, slow), { passed: true, isLocal: false })
    await advance(1_000_000)
  }
  t.equal(state.calls, 4)
  t.equal(counts.leased, 0)
  t.ok(owed(slow) > 3.9)
})

t.test('a hot key is decided here, with few calls', async (t) => {
  const { request, advance, state, counts } = world(t, 1)
  let local = 0
  for (let i = 0; i < 2000; i++) {
    if ((await request(0, hot)).isLocal) local++
    await advance(5000)
  }
  t.ok(state.calls < 100, `${state.calls} calls for 2000 requests`)
  t.ok(local > 1900)
  t.ok(counts.leased >= counts.spent - 1)
})

t.test('a flood on an empty bucket costs no calls until the store has a token', async (t) => {
  const { request, advance, state } = world(t, 1)
  const passed: (boolean | null)[] = []
  for (let i = 0; i < 7; i++) passed.push((await request(0, slow)).passed)
  t.equal(passed.filter(Boolean).length, 5, 'exactly the burst')
  const before = state.calls
  for (let i = 0; i < 1000; i++) {
    t.notOk((await request(0, slow)).passed)
    await advance(1_000_000)
  }
  t.equal(state.calls, before)
  await advance(2_700_000_000)
  t.ok((await request(0, slow)).passed, 'the token of the hour')
})

t.test('what is not spent goes back, once, and is there for others', async (t) => {
  const { request, advance, counts, owed, leases } = world(t, 2)
  for (let i = 0; i < 20; i++) {
    await request(0, wide)
    await advance(2000)
  }
  t.ok(counts.leased > 0)
  await leases[0]!.close()
  await advance(10_000)
  t.ok(Math.abs(owed(wide) - 20) < 3, `${owed(wide)} owed for 20 requests`)
  t.equal(counts.spent + counts.returned + counts.expired, counts.leased)
})

t.test('lease: off asks the store for every request', async (t) => {
  const { request, state } = world(t, 1, { exact: 'hot' })
  for (let i = 0; i < 50; i++) t.equal((await request(0, hot)).isLocal, false)
  t.equal(state.calls, 50)
})

t.test('several limits are charged all or none, one leased and the other asked for', async (t) => {
  const { request, advance, owed, leases } = world(t, 1)
  for (let i = 0; i < 10; i++) {
    await request(0, hot)
    await advance(2000)
  }
  for (let i = 0; i < 5; i++) t.ok((await request(0, hot, { ...slow, id: 'other' })).passed)
  const before = owed(hot)
  for (let i = 0; i < 50; i++) t.notOk((await request(0, hot, { ...slow, id: 'other' })).passed)
  await leases[0]!.close()
  await advance(10_000)
  t.ok(owed(hot) <= before, 'the refused ones cost nothing')
})

t.test('a raised limit admits at once, and a policy in force voids what was leased', async (t) => {
  const { request, leases, counts, advance } = world(t, 1)
  for (let i = 0; i < 7; i++) await request(0, slow)
  t.notOk((await request(0, slow)).passed)
  t.ok((await request(0, { ...slow, bucket: { ...slow.bucket, capacity: 9 * TOKEN } })).passed)
  for (let i = 0; i < 20; i++) {
    await request(0, hot)
    await advance(1000)
  }
  leases[0]!.renew()
  t.equal(counts.spent + counts.returned + counts.expired, counts.leased)
  t.equal((await request(0, hot)).isLocal, false)
})

t.test("what raises a bucket's debt reaches the store, whatever is leased of it", async (t) => {
  const { request, advance, owed } = world(t, 1)
  for (let i = 0; i < 20; i++) {
    await request(0, hot)
    await advance(1000)
  }
  t.equal((await request(0, hot)).isLocal, true, 'there is a lease')
  await request(0, { ...hot, floor: 900 * TOKEN })
  await advance(1000)
  t.ok(owed(hot) > 890, `${owed(hot)} owed`)
})

t.test('every leased token is counted once as spent, returned or expired', async (t) => {
  async function leased(t: Test, debit: Debit) {
    const one = world(t, 1)
    const held = () => one.counts.leased - one.counts.spent - one.counts.returned - one.counts.expired
    for (let i = 0; i < 20 || held() < 2; i++) {
      await one.request(0, debit)
      await one.advance(1000)
    }
    return one
  }

  t.test('what cannot go back while the store is away has expired', async (t) => {
    const { leases, counts, state } = await leased(t, wide)
    state.isOpen = true
    leases[0]!.renew()
    t.equal(counts.returned, 0)
    t.equal(counts.spent + counts.expired, counts.leased)
  })

  t.test('so has what a refused request would give back to a lease that has ended', async (t) => {
    const { leases, counts, advance } = await leased(t, hot)
    const asking = leases[0]!.charge([hot, { ...slow, cost: 6 * TOKEN }])
    t.ok(asking instanceof Promise)
    leases[0]!.renew()
    await advance(10_000)
    await asking
    t.equal(counts.spent + counts.returned + counts.expired, counts.leased)
  })
})

t.test('while the store is away nothing is decided here', async (t) => {
  const { request, state, advance } = world(t, 1)
  for (let i = 0; i < 20; i++) {
    await request(0, hot)
    await advance(1000)
  }
  state.isOpen = true
  t.equal((await request(0, hot)).passed, null)
})

t.test('those who came while a call was under way wait for it, and not longer than for one of their own', async (t) => {
  const { leases, advance, state } = world(t, 1)
  const answers = Array.from({ length: 100 }, () => leases[0]!.charge([hot]))
  t.equal(state.calls, 1)
  await advance(10_000)
  for (const debts of await Promise.all(answers)) t.ok(debts !== null && isAdmitted(hot, debts[0]!))
})

t.test('over any window no more than burst + rate * (T + life) pass, whatever the schedule', async (t) => {
  const step = fc.record({
    instance: fc.nat(2),
    gapUs: fc.oneof(fc.constantFrom(0, 0, 0, 200), fc.nat(5000), fc.nat(400_000)),
    count: fc.integer({ min: 1, max: 30 }),
    delayUs: fc.constantFrom(100, 2000, 15_000),
    isLost: fc.constantFrom(false, false, false, true),
    close: fc.integer({ min: 0, max: 30 }),
  })
  const scene = fc.record({
    rate: fc.constantFrom(1, 20, 500),
    burst: fc.integer({ min: 1, max: 200 }),
    steps: fc.array(step, { minLength: 5, maxLength: 60 }),
  })
  let leased = 0
  await fc.assert(
    fc.asyncProperty(scene, async ({ rate, burst, steps }) => {
      const { clock, state, counts, leases, advance } = world(t, 3)
      const debit = debitOf({ bucket: createBucket('any', { tokens: rate, seconds: 1 }, burst) })
      const passedUs: number[] = []
      const waiting: Promise<void>[] = []
      for (const { instance, gapUs, count, delayUs, isLost, close } of steps) {
        await advance(gapUs)
        state.delayUs = delayUs
        state.isLost = isLost
        if (close === 0) leases[instance]!.renew()
        for (let i = 0; i < count; i++) {
          const charging = leases[instance]!.charge([debit])
          const judge = (debts: readonly number[] | null) => {
            if (debts !== null && isAdmitted(debit, debts[0]!)) passedUs.push(clock.us)
          }
          if (charging instanceof Promise) waiting.push(charging.then(judge))
          else judge(charging)
        }
      }
      await advance(1_000_000)
      await Promise.all(waiting)
      leased += counts.leased
      passedUs.sort((a, b) => a - b)
      for (let from = 0; from < passedUs.length; from++) {
        for (let to = from; to < passedUs.length; to++) {
          const us = passedUs[to]! - passedUs[from]! + LEASE_LIFE_US
          if (to - from + 1 > burst + (rate * us) / 1e6 + 0.001) return false
        }
      }
      return true
    }),
    { seed: 5, numRuns: 60 },
  )
  t.ok(leased > 100, `${leased} tokens were leased`)
})
