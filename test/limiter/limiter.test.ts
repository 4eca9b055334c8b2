import t from 'tap'
import type { Identity } from '../../src/identity/identity.ts'
import type { Decision } from '../../src/limiter/decision.ts'
import { createLimiter } from '../../src/limiter/limiter.ts'
import type { GuardedStore } from '../../src/limiter/outage.ts'
import { type LimitPlan, planLimit } from '../../src/limiter/plan.ts'
import type { Debit } from '../../src/limiter/store.ts'
import type { Limit, Mode, OnError } from '../../src/policy/types.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { limitOf } from '../fixtures/policy.ts'

const office = { id: 'office-network', tag: 'office', address: '192.0.2.1', parents: [], maxDevices: 512 }
const home = { id: 'home-network', tag: 'home', address: '198.51.100.1', parents: [], maxDevices: 512 }
const alone: Pick<Identity, 'isSettled' | 'crowds' | 'debut' | 'conduct'> = {
  isSettled: true,
  crowds: [{ members: 0, halfWeights: 0 }],
  debut: null,
  conduct: null,
}
const device = (id: string, network = office): Identity => {
  return { ...alone, tier: 'class', id, classId: id, tag: network.tag, network, own: null, pool: 'newcomers' }
}
const principal = (id: string, network = office): Identity => {
  return { ...alone, tier: 'principal', id, tag: 'p', own: { id, tag: 'p' }, network, pool: 'none', classId: '' }
}
const alice = device('alice')
const bob = device('bob')

type Options = {
  readonly instances?: number
  readonly shared?: (debits: readonly Debit[]) => ReturnType<GuardedStore['charge']>
}

/** A limiter over a clock that stands still until it is moved. */
function limiting(limits: readonly Partial<Limit>[], options: Options = {}) {
  const clock = { us: 0 }
  const local = createMemoryStore({ maxBuckets: 1000, clock: { nowUs: () => clock.us } })
  const fallbacks: OnError[] = []
  const shared = options.shared && { charge: options.shared, isOpen: false, close() {} }
  const limiter = createLimiter({ local, shared: shared ?? null, onFallback: (action) => fallbacks.push(action) })
  const plans = limits.map((limit) => planLimit(limitOf(limit), options.instances ?? 1))
  const ask = (identity: Identity, mode: Mode = 'enforce') => limiter.decide(identity, plans, mode)
  return {
    clock,
    local,
    plans,
    fallbacks,
    ask,
    decide(identity: Identity, mode: Mode = 'enforce'): Decision {
      const decision = ask(identity, mode)
      if (decision instanceof Promise) throw new Error('the decision is not synchronous')
      return decision
    },
    /** How many of `count` requests pass. */
    passes(identity: Identity, count: number): number {
      let passed = 0
      for (let i = 0; i < count; i++) if (this.decide(identity).verdict === 'allowed') passed++
      return passed
    },
  }
}

/** What a limit said, by its name. */
function said(decision: Decision, name: string) {
  return decision.outcomes.find(({ plan }) => plan.limit.name === name)
}

t.test('with a store in process a decision is no promise', async (t) => {
  const { ask } = limiting([{}, { name: 'shadow', mode: 'shadow' }])
  t.notOk(ask(alice) instanceof Promise)
  t.match(ask(alice), { verdict: 'allowed', path: 'local' })
})

t.test('without limits everything passes', async (t) => {
  const { decide } = limiting([])
  t.same(decide(alice), { verdict: 'allowed', path: 'local', outcomes: [], binding: null })
})

t.test('per device', async (t) => {
  t.test('a device gets its burst, then its rate, and others their own', async (t) => {
    const it = limiting([{ burst: 3 }])
    t.equal(it.passes(alice, 5), 3)
    t.equal(it.passes(bob, 1), 1)
    it.clock.us += 1_000_000
    t.equal(it.passes(alice, 5), 1)
  })

  t.test('an allowed request tells what is left after it, and when there is more', async (t) => {
    const it = limiting([{ burst: 3 }])
    t.match(it.decide(alice), { verdict: 'allowed', binding: { remaining: 2, waitUs: 0, nextUs: 1_000_000 } })
    it.clock.us += 400_000
    t.match(it.decide(alice), { verdict: 'allowed', binding: { remaining: 1, waitUs: 0, nextUs: 600_000 } })
  })

  t.test('a refusal tells exactly how long to wait', async (t) => {
    const it = limiting([{ burst: 3 }])
    it.passes(alice, 3)
    it.clock.us += 300_000
    const refused = it.decide(alice)
    t.match(refused, {
      verdict: 'limited',
      path: 'local',
      binding: { outcome: 'limited', remaining: 0, waitUs: 700_000 },
    })
    t.match(refused.binding, { nextUs: 700_000 })
    it.clock.us += 699_999
    t.equal(it.passes(alice, 1), 0)
    it.clock.us += 1
    t.equal(it.passes(alice, 2), 1)
  })

  t.test('a cost takes so many tokens, and waits for so many', async (t) => {
    const it = limiting([{ burst: 5, cost: 3 }])
    t.match(it.decide(alice), { verdict: 'allowed', binding: { remaining: 2 } })
    t.match(it.decide(alice), { verdict: 'limited', binding: { remaining: 2, waitUs: 1_000_000, nextUs: 1_000_000 } })
  })

  t.test('the unproved devices of a network together get no more than its newcomers bucket', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 60, seconds: 60 }, burst: 6 } }])
    let passed = 0
    for (let i = 0; i < 1000; i++) passed += it.passes(device(`rotating-${i}`), 1)
    t.equal(passed, 6)
    t.equal(it.passes(device('elsewhere', home), 5), 3)
  })

  t.test('what the newcomers bucket refuses costs the device nothing', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 600, seconds: 60 }, burst: 4 } }])
    it.passes(bob, 3)
    t.equal(it.passes(alice, 9), 1)
    it.clock.us += 1_000_000
    t.equal(it.passes(alice, 9), 3, 'two left and one refilled')
  })

  t.test('what the device bucket refuses costs the network nothing', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 60, seconds: 60 }, burst: 6 } }])
    it.passes(alice, 1000)
    t.equal(it.passes(bob, 9), 3)
  })

  t.test('remaining is the least of the two buckets, and its next token is told', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 600, seconds: 60 }, burst: 4 } }])
    t.match(it.decide(alice).binding, { remaining: 2, nextUs: 1_000_000 })
    it.passes(bob, 1)
    t.match(it.decide(device('carol')).binding, { remaining: 1, nextUs: 100_000 })
  })

  t.test('where both buckets have as much left, more is there when both have it', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 600, seconds: 60 }, burst: 3 } }])
    t.match(it.decide(alice).binding, { remaining: 2, nextUs: 1_000_000 })
    const slow = limiting([{ burst: 3, newcomers: { rate: { tokens: 6, seconds: 60 }, burst: 3 } }])
    t.match(slow.decide(alice).binding, { remaining: 2, nextUs: 10_000_000 })
  })

  t.test('a refusal by both buckets waits for the slower one', async (t) => {
    const it = limiting([{ burst: 2, newcomers: { rate: { tokens: 6, seconds: 60 }, burst: 2 } }])
    it.passes(alice, 2)
    t.match(it.decide(alice), { verdict: 'limited', binding: { waitUs: 10_000_000, remaining: 0 } })
  })

  t.test('a principal stands alone: neither its network nor its neighbours touch it', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 60, seconds: 60 }, burst: 3 } }])
    t.equal(it.passes(alice, 5), 3)
    t.equal(it.passes(principal('key'), 5), 3)
    t.equal(it.passes(principal('other key'), 5), 3)
  })

  t.test('a principal does not spend what its network has for newcomers', async (t) => {
    const it = limiting([{ burst: 3, newcomers: { rate: { tokens: 60, seconds: 60 }, burst: 3 } }])
    it.passes(principal('key'), 3)
    t.equal(it.passes(alice, 5), 3)
  })

  t.test('a principal has one bucket world-wide', async (t) => {
    const it = limiting([{ burst: 3 }])
    t.equal(it.passes(principal('key', office), 2), 2)
    t.equal(it.passes(principal('key', home), 5), 1)
  })

  t.test('a device without a usable header is limited like the others', async (t) => {
    const it = limiting([{ burst: 3 }])
    t.equal(it.passes({ ...alice, tier: 'overflow' }, 5), 3)
  })
})

t.test('per network, all devices of it share, a principal included', async (t) => {
  const it = limiting([{ per: 'network', burst: 4 }])
  t.equal(it.passes(alice, 2), 2)
  t.equal(it.passes(principal('key'), 1), 1)
  t.equal(it.passes(bob, 3), 1)
  t.equal(it.passes(device('elsewhere', home), 9), 4)
})

t.test('a global limit is one bucket for everybody', async (t) => {
  const it = limiting([{ per: 'global', burst: 4 }])
  t.equal(it.passes(alice, 2), 2)
  t.equal(it.passes(device('elsewhere', home), 9), 2)
})

t.test('per principal', async (t) => {
  t.test('each principal has a bucket', async (t) => {
    const it = limiting([{ per: 'principal', onMissing: 'skip', burst: 2 }])
    t.equal(it.passes(principal('a'), 3), 2)
    t.equal(it.passes(principal('b'), 3), 2)
  })

  t.test('skip: who is none is not limited, and the limit says nothing', async (t) => {
    const it = limiting([{ per: 'principal', onMissing: 'skip', burst: 2 }])
    t.equal(it.passes(alice, 9), 9)
    t.same(it.decide(alice), { verdict: 'allowed', path: 'local', outcomes: [], binding: null })
  })

  t.test('share: all who are none share one bucket, which no principal touches', async (t) => {
    const it = limiting([{ per: 'principal', onMissing: 'share', burst: 2 }])
    t.equal(it.passes(principal('missing-not'), 2), 2)
    t.equal(it.passes(alice, 1), 1)
    t.equal(it.passes(device('elsewhere', home), 9), 1)
  })

  t.test('deny: who is none is turned away, and nothing is charged', async (t) => {
    const it = limiting([{ burst: 3 }, { name: 'key', per: 'principal', onMissing: 'deny' }])
    const decision = it.decide(alice)
    t.match(decision, { verdict: 'missing', limit: { limit: { name: 'key' } }, binding: null })
    t.match(said(decision, 'key'), { outcome: 'limited' }, 'which is counted and logged')
    t.equal(it.local.size(), 0)
    t.equal(it.decide(principal('a')).verdict, 'allowed')
  })

  t.test('deny in a shadow limit turns nobody away: it is counted', async (t) => {
    const it = limiting([{ burst: 3 }, { name: 'key', per: 'principal', onMissing: 'deny', mode: 'shadow' }])
    const decision = it.decide(alice)
    t.match(decision, { verdict: 'allowed', binding: { remaining: 2 } })
    t.match(said(decision, 'key'), { outcome: 'would_limit', remaining: 0 })
    t.equal(it.passes(alice, 5), 2)
  })

  t.test(
    'deny under a global shadow turns nobody away: it is counted, and costs what a denied request costs',
    async (t) => {
      const it = limiting([{ burst: 3 }, { name: 'key', per: 'principal', onMissing: 'deny' }])
      const decision = it.decide(alice, 'shadow')
      t.match(decision, { verdict: 'allowed', binding: null })
      t.match(said(decision, 'key'), { outcome: 'would_limit' })
      t.equal(it.local.size(), 0)
    },
  )
})

t.test('several limits', async (t) => {
  const burst = { name: 'burst', per: 'network', burst: 2 } as const
  const long = { name: 'long', per: 'global', burst: 10, rate: { tokens: 6, seconds: 60 } } as const

  t.test('a request is charged to all of them or to none', async (t) => {
    for (const limits of [
      [burst, long],
      [long, burst],
    ]) {
      const it = limiting(limits)
      t.equal(it.passes(alice, 100), 2)
      t.match(said(it.decide(device('elsewhere', home)), 'long'), { remaining: 7 })
    }
  })

  t.test('a limit that admits what another refuses says so, uncharged', async (t) => {
    const it = limiting([burst, long])
    it.passes(alice, 2)
    const decision = it.decide(alice)
    t.match(said(decision, 'burst'), { outcome: 'limited', waitUs: 1_000_000 })
    t.match(said(decision, 'long'), { outcome: 'uncharged', remaining: 8, waitUs: 0 })
  })

  t.test('the longest wait binds a refusal', async (t) => {
    for (const limits of [
      [burst, { ...long, burst: 2 }],
      [{ ...long, burst: 2 }, burst],
    ]) {
      const it = limiting(limits)
      it.passes(alice, 2)
      t.match(it.decide(alice), {
        verdict: 'limited',
        binding: { plan: { limit: { name: 'long' } }, waitUs: 10_000_000 },
      })
    }
  })

  t.test('a limit that refuses binds before one that admits with a smaller share left', async (t) => {
    const refusing = { name: 'refusing', per: 'network', burst: 5, cost: 3 } as const
    const admitting = { name: 'admitting', per: 'global', burst: 10 } as const
    for (const limits of [
      [refusing, admitting],
      [admitting, refusing],
    ]) {
      const it = limiting(limits)
      it.decide(alice)
      for (let i = 0; i < 8; i++) it.decide(device('x', { ...home, id: `network-${i}` }))
      const decision = it.decide(alice)
      t.match(said(decision, 'admitting'), { outcome: 'uncharged', remaining: 1 })
      t.match(decision, { verdict: 'limited', binding: { plan: { limit: { name: 'refusing' } }, remaining: 2 } })
    }
  })

  t.test('the smallest share left binds an admission', async (t) => {
    const wide = { name: 'wide', per: 'global', burst: 100 } as const
    const narrow = { name: 'narrow', per: 'network', burst: 10 } as const
    for (const limits of [
      [wide, narrow],
      [narrow, wide],
    ]) {
      const it = limiting(limits)
      t.match(it.decide(alice).binding, { plan: { limit: { name: 'narrow' } }, remaining: 9 })
      it.passes(device('elsewhere', home), 10)
      for (let i = 0; i < 80; i++) it.decide(device('x', { ...home, id: `network-${i}` }))
      t.match(it.decide(alice).binding, { plan: { limit: { name: 'wide' } }, remaining: 8 })
    }
  })
})

t.test('a shadow limit', async (t) => {
  const shadow = { name: 'shadow', per: 'network', burst: 1, mode: 'shadow' } as const

  t.test('refuses nothing and counts what it would have refused', async (t) => {
    const it = limiting([shadow])
    t.match(said(it.decide(alice), 'shadow'), { outcome: 'allowed', remaining: 0 })
    const decision = it.decide(alice)
    t.equal(decision.verdict, 'allowed')
    t.match(said(decision, 'shadow'), { outcome: 'would_limit', remaining: 0, waitUs: 1_000_000 })
  })

  t.test('is never told to a client', async (t) => {
    const it = limiting([shadow, { per: 'global', name: 'wide', burst: 100 }])
    t.match(it.decide(alice).binding, { plan: { limit: { name: 'wide' } } })
    t.equal(limiting([shadow]).decide(alice).binding, null)
  })

  t.test('does not keep the others from being charged', async (t) => {
    const it = limiting([shadow, { burst: 5 }, { ...shadow, name: 'other', burst: 3 }])
    t.equal(it.passes(alice, 9), 5)
    t.match(said(it.decide(alice), 'other'), { outcome: 'would_limit' })
  })

  t.test('is not charged for what an enforced limit refuses', async (t) => {
    const it = limiting([{ burst: 2 }, { ...shadow, burst: 5 }])
    it.passes(alice, 100)
    t.match(said(it.decide(bob), 'shadow'), { outcome: 'allowed', remaining: 2 })
  })

  t.test('takes its wait and rate like an enforced one', async (t) => {
    const it = limiting([shadow])
    it.decide(alice)
    it.clock.us += 1_000_000
    t.match(said(it.decide(alice), 'shadow'), { outcome: 'allowed' })
  })
})

t.test('a global shadow refuses nothing, tells nothing, and counts like enforcement', async (t) => {
  const limits = [{ burst: 3 }, { name: 'network', per: 'network', burst: 5 }] as const
  const shadowed = limiting(limits)
  const enforced = limiting(limits)
  for (let i = 0; i < 30; i++) {
    for (const it of [shadowed, enforced]) it.clock.us += 150_000
    const who = i % 3 === 0 ? bob : alice
    const decision = shadowed.decide(who, 'shadow')
    t.equal(decision.verdict, 'allowed')
    t.equal(decision.binding, null)
    const outcomes = enforced.decide(who).outcomes.map(({ outcome, plan, ...rest }) => ({
      name: plan.limit.name,
      outcome: outcome === 'limited' ? 'would_limit' : outcome,
      ...rest,
    }))
    t.same(
      decision.outcomes.map(({ plan, ...rest }) => ({ name: plan.limit.name, ...rest })),
      outcomes,
    )
  }
})

t.test('with a shared store', async (t) => {
  /** A shared store that works, and what it was asked. */
  function working() {
    const remote = createMemoryStore({ maxBuckets: 1000, clock: { nowUs: () => 0 } })
    const calls: (readonly Debit[])[] = []
    const shared = async (debits: readonly Debit[]) => {
      calls.push(debits)
      return remote.charge(debits)
    }
    return { shared, calls }
  }
  const failing = async () => null
  const open = () => null

  t.test('it decides by the store', async (t) => {
    const { shared } = working()
    const it = limiting([{ burst: 2 }], { shared })
    t.match(await it.ask(alice), { verdict: 'allowed', path: 'store', binding: { remaining: 1 } })
    t.match(await it.ask(alice), { verdict: 'allowed', path: 'store', binding: { remaining: 0 } })
    t.match(await it.ask(alice), { verdict: 'limited', path: 'store', binding: { waitUs: 1_000_000 } })
    t.equal(it.local.size(), 0)
    t.same(it.fallbacks, [])
  })

  t.test('all that a request takes goes in one call, of whole buckets, not of shares', async (t) => {
    const { shared, calls } = working()
    const it = limiting([{ burst: 4 }, { name: 'shadow', mode: 'shadow', per: 'global' }], { shared, instances: 4 })
    await it.ask(alice)
    t.equal(calls.length, 1)
    t.match(calls[0], [
      { bucket: { name: 'device', capacity: 4_000_000 }, id: 'alice', tag: 'office', cost: 1_000_000, group: 0 },
      { bucket: { name: 'device+newcomers', capacity: 8_000_000 }, id: 'office-network', tag: 'office', group: 0 },
      { bucket: { name: 'shadow' }, id: 'global', group: 2 },
    ])
  })

  t.test('a request that charges nothing does not ask it', async (t) => {
    const { shared, calls } = working()
    const it = limiting([{ per: 'principal', onMissing: 'skip' }], { shared })
    t.equal(it.decide(alice).verdict, 'allowed')
    const denying = limiting([{ per: 'principal', onMissing: 'deny' }], { shared })
    t.equal(denying.decide(alice).verdict, 'missing')
    t.equal(calls.length, 0)
  })

  t.test('while its breaker is open a decision is no promise', async (t) => {
    const it = limiting([{ burst: 2 }], { shared: open })
    t.match(it.decide(alice), { verdict: 'allowed', path: 'fallback' })
    t.equal(it.passes(alice, 5), 1)
    t.same(it.fallbacks.length, 6)
  })

  t.test('on_error local: an instance grants its part of burst and rate', async (t) => {
    const it = limiting([{ burst: 12 }], { shared: open, instances: 3 })
    t.match(it.decide(alice), { verdict: 'allowed', path: 'fallback', binding: { remaining: 3 } })
    t.equal(it.passes(alice, 9), 3)
    t.match(it.decide(alice), {
      verdict: 'limited',
      path: 'fallback',
      binding: { waitUs: 3_000_000, nextUs: 3_000_000 },
    })
    it.clock.us += 2_999_999
    t.equal(it.passes(alice, 9), 0)
    it.clock.us += 1
    t.equal(it.passes(alice, 9), 1)
  })

  t.test('on_error local: a part that is no whole number tells the next token exactly', async (t) => {
    const it = limiting([{ burst: 15, newcomers: null }], { shared: open, instances: 2 })
    t.match(it.decide(alice).binding, { remaining: 6, nextUs: 1_000_000 })
    it.clock.us += 1_000_000
    t.match(it.decide(alice).binding, { remaining: 6 })
  })

  t.test('on_error local: the newcomers bucket is parted too', async (t) => {
    const newcomers = { rate: { tokens: 60, seconds: 60 }, burst: 6 }
    const it = limiting([{ burst: 6, newcomers }], { shared: open, instances: 2 })
    let passed = 0
    for (let i = 0; i < 20; i++) passed += it.passes(device(`rotating-${i}`), 1)
    t.equal(passed, 3)
  })

  t.test('on_error local: a part below the cost still lets a request pass', async (t) => {
    const it = limiting([{ burst: 4, cost: 3 }], { shared: open, instances: 10 })
    t.equal(it.passes(alice, 5), 1)
    it.clock.us += 30_000_000
    t.equal(it.passes(alice, 5), 1)
  })

  t.test('a store that fails after the call decides in the same way', async (t) => {
    const it = limiting([{ burst: 4 }], { shared: failing, instances: 2 })
    t.match(await it.ask(alice), { verdict: 'allowed', path: 'fallback', binding: { remaining: 1 } })
    t.match(await it.ask(alice), { verdict: 'allowed', path: 'fallback' })
    t.match(await it.ask(alice), { verdict: 'limited', path: 'fallback' })
    t.same(it.fallbacks, ['local', 'local', 'local'])
  })

  t.test('on_error allow: everything passes, and nothing is told', async (t) => {
    const it = limiting([{ burst: 1, onError: 'allow' }], { shared: open })
    t.equal(it.passes(alice, 9), 9)
    t.match(it.decide(alice), { path: 'fallback', binding: null })
    t.equal(it.local.size(), 0)
    t.match(it.fallbacks[0], 'allow')
  })

  t.test('on_error deny: nobody passes, and the limit is named', async (t) => {
    const it = limiting(
      [
        { name: 'open', onError: 'local' },
        { name: 'strict', onError: 'deny' },
      ],
      { shared: failing },
    )
    const decision = await it.ask(alice)
    t.match(decision, {
      verdict: 'unavailable',
      path: 'fallback',
      limit: { limit: { name: 'strict' } },
      binding: null,
    })
    t.match(said(decision, 'strict'), { outcome: 'limited' })
    t.match(said(decision, 'open'), { outcome: 'uncharged' })
    t.same(it.fallbacks, ['deny'])
    t.equal(it.local.size(), 0, 'what is refused costs nothing')
  })

  t.test('each limit does as it says', async (t) => {
    const it = limiting(
      [
        { name: 'counted', burst: 2 },
        { name: 'passed', burst: 1, onError: 'allow' },
      ],
      { shared: open },
    )
    const decision = it.decide(alice)
    t.same(
      decision.outcomes.map(({ plan }) => plan.limit.name),
      ['counted'],
    )
    t.equal(it.passes(alice, 5), 1)
    t.ok(it.fallbacks.every((action) => action === 'local'))
  })

  t.test('in shadow nothing is denied', async (t) => {
    const limit = limiting([{ onError: 'deny', mode: 'shadow' }], { shared: open })
    t.equal(limit.decide(alice).verdict, 'allowed')
    const whole = limiting([{ onError: 'deny' }], { shared: open })
    t.equal(whole.decide(alice, 'shadow').verdict, 'allowed')
  })

  t.test('a denied source is denied while the store is away too', async (t) => {
    const it = limiting([{ per: 'principal', onMissing: 'deny' }], { shared: open })
    t.equal(it.decide(alice).verdict, 'missing')
    t.equal(it.passes(principal('a'), 3), 3)
  })
})

t.test('a reload keeps balances, for a bucket is named by its limit', async (t) => {
  const clock = { us: 0 }
  const local = createMemoryStore({ maxBuckets: 1000, clock: { nowUs: () => clock.us } })
  const limiter = createLimiter({ local, shared: null })
  const plan = (limit: Partial<Limit>): LimitPlan => planLimit(limitOf({ newcomers: null, ...limit }), 1)
  const decide = (plan: LimitPlan) => limiter.decide(alice, [plan], 'enforce')
  for (let i = 0; i < 3; i++) decide(plan({ burst: 3 }))
  t.match(decide(plan({ burst: 3 })), { verdict: 'limited' })
  t.match(decide(plan({ burst: 4 })), { verdict: 'allowed' }, 'a raised burst admits at once')
  t.match(decide(plan({ burst: 4, rate: { tokens: 120, seconds: 60 } })), { binding: { waitUs: 500_000 } })
  t.match(decide(plan({ burst: 2 })), { verdict: 'limited', binding: { waitUs: 1_000_000 } }, 'a lowered one clamps')
  t.match(decide(plan({ name: 'other', burst: 3 })), { verdict: 'allowed' }, 'another name, another bucket')
})
