import t from 'tap'
import { createMembership } from '../../src/identity/membership.ts'
import { createLimiter } from '../../src/limiter/limiter.ts'
import { compileRules } from '../../src/proxy/rules.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { manualClock, policyWith } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { ONCE, startThrough } from '../fixtures/through.ts'

t.test('100,000 random keys; eviction never refills an offender', async (t) => {
  const clock = manualClock()
  const store = createMemoryStore({ maxBuckets: 1000, clock })
  t.teardown(() => store.close())
  const limiter = createLimiter({ local: store, shared: null, onFallback: () => {} })
  const policy = policyWith({ limits: [{ ...ONCE, per: 'network', newcomers: null }] })
  const { identify, clientAddress, plans } = compileRules(policy, { wallMs: () => 0 })
  const membership = createMembership({ policy: policy.identity.admission })
  const decide = (address: string) => {
    const network = identify.network(clientAddress(address, {}).address)
    const identity = membership.stand(identify.evidence(network, {}, false, 0), clock.nowUs(), 0)
    const decision = limiter.decide(identity, plans, 'enforce')
    if (decision instanceof Promise) throw new Error('the memory store needs no promise')
    return decision.verdict
  }
  t.equal(decide('192.0.2.1'), 'allowed')
  t.equal(decide('192.0.2.1'), 'limited')
  let most = 0
  for (let i = 0; i < 100_000; i++) {
    decide(`2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::1`)
    if (i % 1000 === 0) most = Math.max(most, store.size())
  }
  t.ok(most <= 1000 + 4096, `${most} buckets at most`)
  t.equal(decide('192.0.2.1'), 'limited', 'the offender is still one')
})

t.test('integer-like keys, keys with delimiters, unicode, a megabyte', async (t) => {
  const names = [
    '0',
    '1',
    '4294967295',
    '-1',
    '1e3',
    'NaN',
    '__proto__',
    'constructor',
    'a:b',
    'a:b:c',
    'a{b}',
    'a\tb',
    'a"b',
    'é\xff',
  ]
  const { url, upstream } = await startThrough(t, {
    limits: [
      limitOf({
        burst: 1,
        rate: { tokens: 1, seconds: 3600 },
        newcomers: { rate: { tokens: 1000, seconds: 1 }, burst: 1000 },
      }),
    ],
    server: { maxHeaderBytes: 2 * 1024 * 1024 },
  })
  for (const name of [...names, 'x'.repeat(1024 * 1024), 'x'.repeat(1024 * 1024 + 1)]) {
    const shown = `${name.slice(0, 10)} (${name.length})`
    t.equal((await ask(t, url, get('/', `User-Agent: ${name}`))).status, 200, `${shown} is somebody`)
    t.equal((await ask(t, url, get('/', `User-Agent: ${name}`))).status, 429, `${shown} is one and the same`)
  }
  t.equal(upstream.seen.length, names.length + 2)
})
