import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { monotonicClock } from '../../src/clock.ts'
import { SluiceError } from '../../src/errors.ts'
import { type GuardedStore, guardStore } from '../../src/limiter/outage.ts'
import type { SharedStore } from '../../src/limiter/store.ts'
import { createRedisStore } from '../../src/stores/redis.ts'
import { debitOf } from '../contracts/store.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { at } from '../fixtures/redis-store.ts'

/** Milliseconds; probes come every 375 to 625 and by `random` 0 every 375. */
const TIMEOUT = 20
const PROBE = 375

type Reply = 'answer' | 'fail' | 'hang'
const away = new SluiceError('store_unavailable', 'away')
const debits = [debitOf()]

/** A guard over a store that replies as it is told; what hangs is answered by `release`. */
function guarding(
  t: Test,
  options: {
    readonly timeout?: number
    readonly isAway?: boolean
    readonly store?: SharedStore
    readonly random?: number
  } = {},
) {
  const events: string[] = []
  const causes: unknown[] = []
  const hung: ((debts: readonly number[]) => void)[] = []
  const refused: ((cause: unknown) => void)[] = []
  const state = { reply: 'answer' as Reply, charges: 0, pings: 0, us: 0 }
  function reply<T>(value: T): Promise<T> {
    if (state.reply === 'answer') return Promise.resolve(value)
    if (state.reply === 'fail') return Promise.reject(away)
    return new Promise<T>((resolve, reject) => {
      hung.push(() => resolve(value))
      refused.push(reject)
    })
  }
  const store: SharedStore = options.store ?? {
    charge() {
      state.charges++
      return reply([7])
    },
    ping() {
      state.pings++
      return reply(undefined)
    },
    giveBack: async () => {},
    close: async () => {},
  }
  const guard = guardStore(store, {
    timeout: options.timeout ?? TIMEOUT,
    clock: { nowUs: () => state.us + monotonicClock.nowUs() },
    random: () => options.random ?? 0,
    events: {
      called: (result) => events.push(result),
      changed(to, cause) {
        events.push(to)
        causes.push(cause)
      },
    },
    isAway: options.isAway ?? false,
  })
  t.teardown(() => guard.close())
  const charge = (): Promise<readonly number[] | null> => {
    const charging = guard.charge(debits)
    if (charging === null) throw new Error('the breaker is open')
    return charging
  }
  async function charges(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await charge()
  }
  return { guard, state, events, causes, hung, refused, charge, charges }
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function untilClosed(guard: GuardedStore, ms = 3000): Promise<void> {
  const deadline = performance.now() + ms
  while (guard.isOpen) {
    if (performance.now() > deadline) throw new Error(`the breaker is still open after ${ms} ms`)
    await sleep(5)
  }
}

t.test('an answer passes through', async (t) => {
  const { charge, events, guard } = guarding(t)
  t.same(await charge(), [7])
  t.same(events, ['ok'])
  t.equal(guard.isOpen, false)
})

t.test('a failure is null at once, never a rejection', async (t) => {
  const { charge, events, state } = guarding(t, { timeout: 60_000 })
  state.reply = 'fail'
  t.equal(await charge(), null)
  t.same(events, ['error'])
})

t.test('no call waits longer than the timeout, however many there are', async (t) => {
  const { charge, events, state } = guarding(t, { timeout: 100 })
  state.reply = 'hang'
  const from = performance.now()
  const first = charge()
  await sleep(50)
  const ends = await Promise.all(
    [first, charge(), charge()].map(async (call, i) => {
      t.equal(await call, null)
      return performance.now() - from - (i === 0 ? 0 : 50)
    }),
  )
  for (const ms of ends) t.ok(ms >= 95 && ms < 200, `${Math.round(ms)} ms`)
  t.same(events, ['timeout', 'timeout', 'timeout'])
})

t.test('a call before its deadline is not given up for one that is older', async (t) => {
  const { charge, state, hung } = guarding(t, { timeout: 100 })
  state.reply = 'hang'
  const old = charge()
  await sleep(50)
  const young = charge()
  t.equal(await old, null)
  hung[1]!([7])
  t.same(await young, [7])
})

t.test('the deadline is by the clock of the decisions', async (t) => {
  const { charge, state } = guarding(t, { timeout: 200 })
  state.reply = 'hang'
  const from = performance.now()
  const late = charge()
  state.us += 60_000_000
  t.equal(await late, null)
  t.ok(performance.now() - from < 400)
})

t.test('a late reply counts for nothing, good or bad', async (t) => {
  const { charge, state, hung, refused, events } = guarding(t)
  state.reply = 'hang'
  t.same(await Promise.all([charge(), charge()]), [null, null])
  hung[0]!([7])
  refused[1]!(away)
  await sleep(1)
  t.same(events, ['timeout', 'timeout'])
})

t.test('a late answer is no success: it does not keep the breaker closed', async (t) => {
  const { charge, state, hung, guard } = guarding(t)
  state.reply = 'hang'
  for (let i = 0; i < 5; i++) {
    await charge()
    hung[i]!([7])
    await sleep(1)
  }
  t.equal(guard.isOpen, true)
})

t.test('the breaker', async (t) => {
  t.test('opens at the fifth failure in a row, not before', async (t) => {
    const { charges, state, guard } = guarding(t)
    state.reply = 'fail'
    await charges(4)
    t.equal(guard.isOpen, false)
    await charges(1)
    t.equal(guard.isOpen, true)
  })

  t.test('counts from nothing after a success', async (t) => {
    const { charges, state, guard } = guarding(t)
    state.reply = 'fail'
    await charges(4)
    state.reply = 'answer'
    await charges(1)
    state.reply = 'fail'
    await charges(4)
    t.equal(guard.isOpen, false)
    await charges(1)
    t.equal(guard.isOpen, true)
  })

  t.test('opens on timeouts and on errors alike', async (t) => {
    const { charges, state, guard } = guarding(t)
    state.reply = 'hang'
    await charges(3)
    state.reply = 'fail'
    await charges(2)
    t.equal(guard.isOpen, true)
  })

  t.test('stays closed when many calls are late at once: they may have waited for the same thing', async (t) => {
    const { charge, state, guard } = guarding(t)
    state.reply = 'hang'
    await Promise.all([charge(), charge(), charge(), charge(), charge(), charge()])
    t.equal(guard.isOpen, false)
    for (let more = 0; more < 4 && !guard.isOpen; more++) await charge()
    t.equal(guard.isOpen, true)
  })

  t.test('keeps everybody from waiting and from asking while it is open', async (t) => {
    const { charges, state, guard } = guarding(t)
    state.reply = 'fail'
    await charges(5)
    state.reply = 'hang'
    const asked = state.charges
    for (let i = 0; i < 1000; i++) if (guard.charge(debits) !== null) t.fail('somebody waits')
    t.equal(state.charges, asked)
  })

  t.test('settles those who wait already when their time is up', async (t) => {
    const { charge, state, guard } = guarding(t)
    state.reply = 'hang'
    // On a busy machine the calls of one round may fall due in two.
    for (let round = 0; round < 5 && !guard.isOpen; round++) {
      t.same(await Promise.all(Array.from({ length: 50 }, charge)), Array(50).fill(null))
    }
    t.equal(guard.isOpen, true)
  })

  t.test('is closed by a probe that succeeds, and not by one that fails or hangs', async (t) => {
    const { charge, charges, state, guard } = guarding(t)
    state.reply = 'fail'
    await charges(5)
    await sleep(PROBE + 100)
    t.equal(state.pings, 1)
    t.equal(guard.isOpen, true)
    state.reply = 'hang'
    await sleep(PROBE + 100)
    t.equal(state.pings, 2)
    t.equal(guard.isOpen, true)
    state.reply = 'answer'
    await untilClosed(guard)
    t.same(await charge(), [7])
  })

  t.test('opens again only after five new failures', async (t) => {
    const { charges, state, guard } = guarding(t)
    state.reply = 'fail'
    await charges(5)
    state.reply = 'answer'
    await untilClosed(guard)
    state.reply = 'fail'
    await charges(4)
    t.equal(guard.isOpen, false)
    await charges(1)
    t.equal(guard.isOpen, true)
  })

  t.test('tells each transition once, with what tipped it', async (t) => {
    const { charge, state, guard, events, causes } = guarding(t)
    state.reply = 'fail'
    await Promise.all(Array.from({ length: 20 }, charge))
    state.reply = 'answer'
    await untilClosed(guard)
    t.same(
      events.filter((event) => event === 'open' || event === 'closed'),
      ['open', 'closed'],
    )
    t.equal(causes[0], away)
  })

  t.test('is not closed by an answer to a call that was under way when it opened', async (t) => {
    const { charge, charges, state, guard, hung } = guarding(t, { timeout: 2000 })
    state.reply = 'hang'
    const underWay = charge()
    state.reply = 'fail'
    await charges(5)
    hung[0]!([7])
    t.same(await underWay, [7], 'whose answer counts all the same')
    t.equal(guard.isOpen, true)
  })

  t.test('starts open where the store is away, and is closed by a probe', async (t) => {
    const { guard, events, state, charge } = guarding(t, { isAway: true })
    t.equal(guard.charge(debits), null)
    t.same(events, ['open'])
    await untilClosed(guard)
    t.same(events, ['open', 'closed'])
    t.equal(state.pings, 1)
    t.same(await charge(), [7])
  })

  t.test('spreads its probes, so that instances do not knock in step', async (t) => {
    const [early, late] = [guarding(t, { isAway: true, random: 0 }), guarding(t, { isAway: true, random: 0.999 })]
    await untilClosed(early.guard)
    t.equal(late.state.pings, 0)
    await untilClosed(late.guard)
  })
})

t.test('close', async (t) => {
  t.test('settles those who wait', async (t) => {
    const { charge, state, guard } = guarding(t, { timeout: 60_000 })
    state.reply = 'hang'
    const waiting = [charge(), charge()]
    guard.close()
    t.same(await Promise.all(waiting), [null, null])
  })

  t.test('tells nothing any more', async (t) => {
    const { charge, state, guard, events, hung } = guarding(t, { timeout: 60_000 })
    state.reply = 'hang'
    const waiting = Array.from({ length: 10 }, charge)
    guard.close()
    await Promise.all(waiting)
    hung[0]!([7])
    await sleep(1)
    t.same(events, [], 'the store did not fail')
  })

  t.test('leaves nobody waiting who comes after it', async (t) => {
    const { state, guard } = guarding(t)
    state.reply = 'hang'
    const before = guard.charge(debits)
    guard.close()
    t.equal(await before, null)
    t.equal(await Promise.race([guard.charge(debits), sleep(500).then(() => 'still waiting')]), null)
  })

  t.test('ends the probing', async (t) => {
    const { charges, state, guard, events } = guarding(t)
    state.reply = 'fail'
    await charges(5)
    guard.close()
    state.reply = 'answer'
    await sleep(PROBE + 300)
    t.equal(state.pings, 0)
    t.equal(events.at(-1), 'open')
  })

  t.test('makes nothing of the probe that is under way', async (t) => {
    const { state, guard, events, hung } = guarding(t, { isAway: true, timeout: 2000 })
    state.reply = 'hang'
    while (state.pings === 0) await sleep(5)
    guard.close()
    hung[0]!([])
    await sleep(1)
    t.same(events, ['open'])
  })

  t.test('leaves no timer: the process ends, whatever was under way', async (t) => {
    const code = `
      import { guardStore } from ${JSON.stringify(new URL('../../src/limiter/outage.ts', import.meta.url))}
      const never = new Promise(() => {})
      const guards = []
      for (const isAway of [false, true]) {
        const store = { charge: () => never, ping: () => never, close: async () => {} }
        const guard = guardStore(store, {
          timeout: 60_000,
          clock: { nowUs: () => 0 },
          random: () => 0,
          events: { called() {}, changed() {} },
          isAway,
        })
        guard.charge([])
        guards.push(guard)
      }
      setTimeout(() => {
        for (const guard of guards) guard.close()
        console.log('closed')
      }, 600)
    `
    const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const ended = await Promise.race([once(child, 'exit'), sleep(3000)])
    t.same(ended, [0, null])
  })
})

t.test('a Redis that stops answering and goes on again', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const store = createRedisStore({ ...at(redis.url), keyPrefix: 'outage:' })
  t.teardown(() => store.close())
  await store.opened
  const events: string[] = []
  const guard = guardStore(store, {
    timeout: TIMEOUT,
    clock: monotonicClock,
    random: Math.random,
    events: { called() {}, changed: (state) => events.push(state) },
  })
  t.teardown(() => guard.close())
  const slowest = { ms: 0, answered: 0 }
  async function requests(count: number, ms: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        await sleep((i * ms) / count)
        const from = performance.now()
        const debts = await guard.charge(debits)
        slowest.ms = Math.max(slowest.ms, performance.now() - from)
        if (debts !== null) slowest.answered++
      }),
    )
  }

  // The first calls load the script; on a busy machine that is slower than the deadline.
  await requests(20, 200)
  await untilClosed(guard)
  slowest.answered = 0
  events.length = 0
  await requests(50, 200)
  t.ok(slowest.answered > 40, `${slowest.answered} of 50 answered before`)
  process.kill(redis.pid, 'SIGSTOP')
  slowest.ms = 0
  slowest.answered = 0
  await requests(200, 1500)
  t.equal(slowest.answered, 0)
  t.ok(slowest.ms < TIMEOUT + 80, `no call took longer than ${Math.round(slowest.ms)} ms`)
  t.equal(guard.isOpen, true)
  t.same(events, ['open'], 'told once')
  process.kill(redis.pid, 'SIGCONT')
  await untilClosed(guard, 5000)
  t.same(events, ['open', 'closed'])
  await requests(50, 200)
  t.ok(slowest.answered > 40, `${slowest.answered} of 50 answered after`)
})

t.test('a stall of our own loop is no outage: replies that are already here are read first', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const store = createRedisStore({ ...at(redis.url), keyPrefix: 'stall:' })
  t.teardown(() => store.close())
  t.equal(await store.opened, true)
  // The first call loads the script.
  await store.charge(debits)
  const { guard } = guarding(t, { timeout: 100, store })
  const charging = Array.from({ length: 6 }, () => guard.charge(debits))
  const until = performance.now() + 200
  while (performance.now() < until);
  for (const debts of await Promise.all(charging)) t.not(debts, null)
  t.equal(guard.isOpen, false)
})
