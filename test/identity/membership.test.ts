import t from 'tap'
import type { Evidence, SignedDevice } from '../../src/identity/evidence.ts'
import { createMembership } from '../../src/identity/membership.ts'
import { createLimiter } from '../../src/limiter/limiter.ts'
import { planLimit } from '../../src/limiter/plan.ts'
import type { AdmissionPolicy, Limit } from '../../src/policy/types.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { ADMISSION, networkOf, shows, T0 } from '../fixtures/evidence.ts'
import { limitOf } from '../fixtures/policy.ts'

const SECOND = 1_000_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** Membership and a limiter over one clock that stands still until it is moved; r = 1/s, B = 30 unless told otherwise. */
function start(limit: Partial<Limit> = {}, policy: Partial<AdmissionPolicy> = {}) {
  const clock = { us: 0 }
  const results: string[] = []
  const membership = createMembership({
    policy: { ...ADMISSION, ...policy },
    onAdmission: (result) => results.push(result),
  })
  const local = createMemoryStore({ maxBuckets: 1_000_000, clock: { nowUs: () => clock.us } })
  const limiter = createLimiter({ local, shared: null })
  const plans = [planLimit(limitOf(limit), 1)]
  const stand = (evidence: Evidence) => membership.stand(evidence, clock.us, T0 + clock.us / 1000)
  function ask(evidence: Evidence): boolean {
    const decision = limiter.decide(stand(evidence), plans, 'enforce')
    if (decision instanceof Promise) throw new Error('the decision is not synchronous')
    return decision.verdict === 'allowed'
  }
  /** How many of the requests pass that come `perSecond` a second for `seconds`. */
  function passes(make: (i: number) => Evidence, perSecond: number, seconds: number): number {
    let passed = 0
    for (let i = 0; i < perSecond * seconds; i++) {
      if (ask(make(i))) passed++
      clock.us += Math.round(SECOND / perSecond)
    }
    return passed
  }
  return { clock, results, membership, local, stand, ask, passes }
}

const B = 30
const r = 1

t.test('the bounds of what a client passes (T seconds)', async (t) => {
  const T = 120

  t.test('constant headers on one network: B + rT', async (t) => {
    const passed = start().passes(() => shows(), 20, T)
    t.ok(passed <= B + r * T && passed >= B + r * (T - 1), `${passed}`)
  })

  t.test('any rotation with neither a valid cookie nor a repeated token: 2B + 5rT', async (t) => {
    const makes: Record<string, (i: number) => Evidence> = {
      'of headers': (i) => shows({ classId: `class-${i}` }),
      'of tokens': (i) => shows({ classId: `class-${i}`, token: { id: `token-${i}`, tag: 'x' } }),
      'of a thousand headers': (i) => shows({ classId: `class-${i % 1000}` }),
      'with no header now and then': (i) => shows({ classId: `class-${i}`, isNameless: i % 3 === 0 }),
    }
    for (const [name, make] of Object.entries(makes)) {
      const passed = start().passes(make, 100, T)
      t.ok(passed <= 2 * B + 5 * r * T && passed >= 2 * B + 5 * r * (T - 2), `${name}: ${passed}`)
    }
  })

  t.test('rotation over the /64s of one /48: four times that', async (t) => {
    const sub = (i: number) =>
      networkOf(`64-${i}`, {
        tag: '48',
        parents: [
          { id: `56-${i % 50}`, factor: 1 },
          { id: '48', factor: 4 },
        ],
      })
    const passed = start().passes((i) => shows({ network: sub(i % 900), classId: `class-${i}` }), 100, T)
    t.ok(passed <= 4 * (2 * B + 5 * r * T) && passed >= 3.9 * 5 * r * T, `${passed}`)
  })

  t.test('one cookie on k networks: B + rT', async (t) => {
    const passedBy = (issuedMs: number) =>
      start().passes((i) => shows({ network: networkOf(`n-${i % 200}`), device: { id: 'one', issuedMs } }), 20, T)
    t.ok(passedBy(T0) <= B + r * T, `a new one: ${passedBy(T0)}`)
    const known = passedBy(T0 - HOUR_MS)
    t.ok(known <= B + r * T && known >= B + r * (T - 1), `one that is long known: ${known}`)
  })

  t.test('one token on k networks: B + rT', async (t) => {
    const token = { id: 'one', tag: 'one' }
    const passed = start().passes((i) => shows({ network: networkOf(`n-${i % 200}`), classId: `${i}`, token }), 20, T)
    t.ok(passed <= B + r * T, `${passed}`)
  })

  t.test('a farm of faithful jars on one network: bursts of both pools + T (15r + m (0.25 + 0.02) r)', async (t) => {
    for (const [grade, weight] of [
      [0, 0.125],
      [3, 0.25],
    ] as const) {
      const it = start()
      const device = (i: number) => ({ id: `jar-${i % 600}`, grade, issuedMs: grade === 0 ? T0 : T0 - 2 * HOUR_MS })
      const make = (i: number) => (i % 2 === 0 ? shows({ device: device(i) }) : shows({ classId: `other-${i}` }))
      const passed = it.passes(make, 200, T)
      const m = ADMISSION.maxDevices
      const w = m * (grade === 0 ? 0.5 : 1)
      const bursts = 2 * B + Math.max(2 * (10 + 0.25 * w) * r, 3 * B + 0.05 * B * w)
      const bound = bursts + T * (15 * r + m * (weight + 0.02) * r)
      t.ok(passed <= bound, `${passed} of ${bound}`)
    }
  })

  for (const [age, marks, weight, kept] of [
    ['aged', { grade: 3, issuedMs: T0 - 2 * HOUR_MS }, 1, 0],
    ['fresh', {}, 0.5, 1 / 4],
  ] as const) {
    for (const m of [20, 128, 512]) {
      t.test(`the pools of ${m} members whose marks are ${age}, to the request`, async (t) => {
        const it = start()
        const ids = Array.from({ length: m }, (_, i) => `jar-${i}`)
        const askAll = () => ids.filter((id) => it.ask(shows({ device: { id, ...marks } }))).length
        while (it.stand(shows()).crowds[0]!.members < m) {
          for (const id of ids) it.stand(shows({ device: { id, ...marks } }))
          it.clock.us += 10 * SECOND
        }
        // Until none is a new member any more, and all buckets are full.
        it.clock.us += 120 * SECOND
        const W = m * weight
        const burst = Math.max(2 * (10 * r + 0.25 * r * W), 3 * B + 0.05 * B * W)
        let passed = 0
        for (let i = 0; i < B; i++) passed += askAll()
        t.equal(
          passed,
          Math.floor(burst - kept * (burst - B)),
          'the burst; of what lies above B a quarter is for the aged',
        )

        const rate = (10 + 0.25 * W) * r
        passed = 0
        for (let second = 0; second < T; second++) {
          it.clock.us += SECOND
          passed += askAll()
        }
        t.ok(passed <= rate * T + 1 && passed >= rate * T - 1, `members: ${passed} of ${rate * T}`)

        it.clock.us += 60 * SECOND
        for (const id of ids) it.stand(shows({ device: { id, ...marks } }))
        passed = it.passes((i) => shows({ classId: `other-${i}` }), 100, T)
        const beside = (5 + 0.02 * m) * r * T
        t.ok(
          passed <= 2 * B + beside && passed >= B + beside - 15,
          `newcomers beside them: ${passed} of ${2 * B + beside}`,
        )
      })
    }
  }
})

t.test('proof is never worse than none: a lone member can use its whole burst', async (t) => {
  const it = start()
  // Long known: its bucket is full.
  const device = { id: 'one', issuedMs: T0 - HOUR_MS }
  t.equal(
    it.passes(() => shows({ device }), 1000, 0.05),
    B,
  )
})

t.test('a new member’s bucket is not filled for free', async (t) => {
  const fresh = shows({ device: { id: 'one' } })

  t.test('it takes a quarter of what its class has', async (t) => {
    const it = start()
    // The class has 30 tokens: 7 go along.
    let passed = 0
    for (let i = 0; i < 100; i++) if (it.ask(fresh)) passed++
    t.equal(passed, 7)
    passed = 0
    for (let i = 0; i < 100; i++) if (it.ask(shows())) passed++
    // One of the class's 5 % more for one member, which is a token and a half.
    t.equal(passed, 24, 'which the class no longer has')
  })

  t.test('of an empty class it gets three, which the newcomers pay', async (t) => {
    const it = start()
    t.equal(
      it.passes(() => shows(), 1000, 0.04),
      30,
    )
    let passed = 0
    for (let i = 0; i < 100; i++) if (it.ask(fresh)) passed++
    t.equal(passed, 3)
    // 60 of the pool, less 30, less 3; half of it is kept for classes that are known.
    passed = 0
    for (let i = 0; i < 100; i++) if (it.ask(shows({ classId: `other-${i}` }))) passed++
    t.equal(passed, 0)
  })

  t.test('once: an hour later it has what it earned', async (t) => {
    const it = start()
    for (let i = 0; i < 20; i++) it.ask(fresh)
    it.clock.us += 60 * SECOND
    let passed = 0
    for (let i = 0; i < 100; i++) if (it.ask(fresh)) passed++
    t.equal(passed, B)
  })

  t.test('a refused request pays nothing', async (t) => {
    const it = start({ newcomers: { rate: { tokens: 1, seconds: 1 }, burst: 2 }, cost: 2, burst: 2 })
    t.ok(it.ask(shows()))
    const before = it.local.size()
    t.ok(it.ask(fresh))
    t.notOk(it.ask(fresh))
    t.ok(it.local.size() > before)
  })

  t.test('one who returns with a mark of an hour ago has its whole bucket', async (t) => {
    const it = start()
    const back = shows({ device: { id: 'one', issuedMs: T0 - HOUR_MS } })
    let passed = 0
    for (let i = 0; i < 100; i++) if (it.ask(back)) passed++
    t.equal(passed, B)
  })
})

t.test('a bot in an office does not drain the members', async (t) => {
  const it = start()
  const member = (i: number) =>
    shows({ classId: 'office-browser', device: { id: `m-${i % 50}`, issuedMs: T0 - HOUR_MS } })
  for (let i = 0; i < 50; i++) it.ask(member(i))
  let refused = 0
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 100; i++) it.ask(shows({ classId: `bot-${second}-${i}` }))
    for (let i = 0; i < 5; i++) if (!it.ask(member(second * 5 + i))) refused++
    it.clock.us += SECOND
  }
  t.equal(refused, 0)
})

t.test('classes that are known keep half of the newcomers’ burst once there are members', async (t) => {
  const it = start()
  it.ask(shows({ device: { id: 'member', issuedMs: T0 - HOUR_MS } }))
  const known = shows({ classId: 'known' })
  for (let minute = 0; minute < 3; minute++) {
    t.ok(it.ask(known))
    it.ask(shows({ device: { id: 'member', issuedMs: T0 - HOUR_MS } }))
    it.clock.us += 59 * SECOND
    t.ok(it.ask(known))
    it.clock.us += SECOND
  }
  for (let i = 0; i < 1000; i++) it.ask(shows({ classId: `flood-${i}` }))
  t.notOk(it.ask(shows({ classId: 'new' })))
  let passed = 0
  for (let i = 0; i < 100; i++) if (it.ask(known)) passed++
  t.ok(passed >= 28, `${passed}`)
})

t.test('admission', async (t) => {
  const jar = (i: number, changes: Partial<SignedDevice> = {}) => shows({ device: { id: `jar-${i}`, ...changes } })
  const members = (it: ReturnType<typeof start>) => it.stand(shows()).crowds[0]!.members

  t.test('takes the burst at once, then its rate', async (t) => {
    const it = start()
    for (let i = 0; i < 1000; i++) it.stand(jar(i))
    t.equal(members(it), 128)
    it.clock.us += 30 * SECOND
    for (let i = 1000; i < 2000; i++) it.stand(jar(i))
    t.equal(members(it), 128 + 32)
    t.same(new Set(it.results), new Set(['admitted', 'limited']))
  })

  t.test('takes marks older than a minute ten times as fast: a restart locks no office out', async (t) => {
    const it = start()
    for (let i = 0; i < 512; i++) it.stand(jar(i, { issuedMs: T0 - 3 * MINUTE_MS }))
    t.equal(members(it), 512)
    it.stand(jar(9999, { issuedMs: T0 - 3 * MINUTE_MS }))
    t.equal(members(it), 512)
    t.equal(it.results.at(-1), 'full')
  })

  t.test('who is idle for half an hour leaves room', async (t) => {
    const it = start({}, { maxDevices: 2 })
    const tiny = networkOf('tiny', { maxDevices: 2 })
    for (const id of ['a', 'b', 'c']) it.stand(shows({ network: tiny, device: { id } }))
    t.same(it.results, ['admitted', 'admitted', 'full'])
    it.clock.us += 1000 * SECOND
    it.stand(shows({ network: tiny, device: { id: 'b' } }))
    it.clock.us += 1000 * SECOND
    it.stand(shows({ network: tiny, device: { id: 'c' } }))
    t.equal(it.results.at(-1), 'admitted')
    t.equal(it.stand(shows({ network: tiny, device: { id: 'b' } })).pool, 'members', 'b was here in between')
    t.equal(it.stand(shows({ network: tiny, device: { id: 'a' } })).pool, 'newcomers')
  })

  t.test('is bounded for the parents of a network too', async (t) => {
    const it = start()
    for (let i = 0; i < 5000; i++) {
      const network = networkOf(`64-${i % 1000}`, { tag: '48', parents: [{ id: '48', factor: 4 }] })
      it.stand(shows({ network, device: { id: `jar-${i}` } }))
    }
    t.equal(it.results.filter((result) => result === 'admitted').length, 4 * 128)
  })

  t.test('a device that is not admitted is charged to its own bucket all the same', async (t) => {
    const it = start({}, { burst: 1, rate: { tokens: 1, seconds: 86_400 } })
    it.stand(jar(0))
    t.match(it.stand(jar(1)), { tier: 'class', pool: 'newcomers', own: { id: 'jar-1' } })
    let passed = 0
    for (let i = 0; i < 100; i++) if (it.ask({ ...jar(1), classId: `rotating-${i}` })) passed++
    t.ok(passed <= B, `${passed}`)
  })

  t.test('a token is admitted when it comes again a second after its first sight', async (t) => {
    const it = start()
    const claim = shows({ token: { id: 'token', tag: 'token' } })
    t.match(it.stand(claim), { tier: 'class', pool: 'newcomers', own: { id: 'token' } })
    it.clock.us += 500_000
    t.match(it.stand(claim), { pool: 'newcomers' })
    it.clock.us += 700_000
    t.match(it.stand(claim), { tier: 'token', pool: 'members' })
  })

  t.test('an open principal is a device like any other, a controlled one stands alone', async (t) => {
    const it = start()
    const principal = { id: 'p', tag: 'p', source: 'jwt', enrolment: 'open' } as const
    t.match(it.stand(shows({ principal })), { tier: 'principal', pool: 'members' })
    t.match(it.stand(shows({ principal: { ...principal, enrolment: 'controlled' } })), {
      pool: 'none',
      own: { id: 'p' },
    })
  })
})

t.test('a member is aged after an hour, at home and well-behaved', async (t) => {
  const it = start()
  const aged = { id: 'd', issuedMs: T0 - HOUR_MS, grade: 2 }
  t.match(it.stand(shows({ device: { ...aged, id: 'a' } })), {
    isSettled: true,
    crowds: [{ members: 1, halfWeights: 2 }],
  })
  for (const [i, changes] of [{ grade: 1 }, { issuedMs: T0 - HOUR_MS + 1 }, { isHome: false }].entries()) {
    t.match(it.stand(shows({ device: { ...aged, ...changes, id: `fresh-${i}` } })), { isSettled: false })
  }
  t.match(it.stand(shows()).crowds, [{ members: 4, halfWeights: 5 }])
})

t.test('a million random identities from one address leave nothing behind', async (t) => {
  const it = start()
  const flood = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      it.ask(shows({ classId: `class-${i}`, token: { id: `token-${i}`, tag: 'x' } }))
      it.clock.us += 1000
    }
  }
  it.ask(shows({ device: { id: 'member' } }))
  flood(0, 100_000)
  const buckets = it.local.size()
  flood(100_000, 400_000)
  t.ok(it.local.size() <= buckets + 50, `${buckets} buckets, then ${it.local.size()}`)
  t.equal(it.membership.size(), 1)
})

t.test('networks without members are forgotten', async (t) => {
  const it = start()
  for (let i = 0; i < 5000; i++) {
    it.stand(shows({ network: networkOf(`n-${i}`), token: { id: `${i}`, tag: 'x' } }))
    it.clock.us += SECOND
  }
  t.ok(it.membership.size() < 500, `${it.membership.size()}`)
})
