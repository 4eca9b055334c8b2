import t from 'tap'
import { parseAddress } from '../../src/identity/address.ts'
import type { DenyEntry, ExemptEntry, Match, Policy } from '../../src/policy/types.ts'
import { compileRules as compile } from '../../src/proxy/rules.ts'
import { EVERYTHING, limitOf, policyOf } from '../fixtures/policy.ts'
import { factsOf, type RequestLike } from './facts-of.ts'

function compileRules(policy: Policy) {
  return compile(policy, { wallMs: Date.now })
}

function matchOf(changes: Partial<Match>): Match {
  return { ...EVERYTHING, ...changes }
}

function exemptOf(changes: Partial<ExemptEntry> = {}): ExemptEntry {
  return { name: 'exempted', cidr: [], match: EVERYTHING, until: null, reason: null, ...changes }
}

function denyOf(changes: Partial<DenyEntry> = {}): DenyEntry {
  return { ...exemptOf({ name: 'denied' }), status: 403, ...changes }
}

/** What the policy says, in one word, with the route and the limits. */
function ruled(policy: Partial<Policy>, request: RequestLike = {}, address = '198.51.100.7') {
  const ruling = compileRules(policyOf(policy)).rule(factsOf(request), parseAddress(address)!)
  const limits = ruling.kind === 'limit' ? ruling.plans.map(({ limit }) => limit.name) : []
  return { kind: ruling.kind, route: ruling.route, limits }
}

const health = matchOf({ paths: ['/health'] })

t.test('deny beats exempt, and exempt beats limits', async (t) => {
  t.equal(ruled({}).kind, 'limit')
  t.equal(ruled({ exempt: [exemptOf()] }).kind, 'exempt')
  t.equal(ruled({ exempt: [exemptOf()], deny: [denyOf()] }).kind, 'deny')
  t.equal(ruled({ limits: [] }).kind, 'limit')
})

t.test('an entry holds for the addresses it names, and for all where it names none', async (t) => {
  const entry = { cidr: ['198.51.100.0/24', '2001:db8::/32'] }
  for (const [address, kind] of [
    ['198.51.100.7', 'deny'],
    ['::ffff:198.51.100.7', 'deny'],
    ['2001:db8::1', 'deny'],
    ['198.51.101.7', 'limit'],
    ['2001:db9::1', 'limit'],
  ] as const) {
    t.equal(ruled({ deny: [denyOf(entry)] }, {}, address).kind, kind, address)
    const exempt = ruled({ exempt: [exemptOf(entry)] }, {}, address).kind
    t.equal(exempt, kind === 'deny' ? 'exempt' : 'limit', address)
  }
})

t.test('an entry wants both its address and its match', async (t) => {
  const exempt = [exemptOf({ cidr: ['198.51.100.7/32'], match: health })]
  t.equal(ruled({ exempt }, { url: '/health' }).kind, 'exempt')
  t.equal(ruled({ exempt }, { url: '/other' }).kind, 'limit')
  t.equal(ruled({ exempt }, { url: '/health' }, '198.51.100.8').kind, 'limit')
})

t.test('the first entry that holds is the one', async (t) => {
  const deny = [
    denyOf({ name: 'elsewhere', cidr: ['10.0.0.0/8'] }),
    denyOf({ name: 'past', until: Date.now() - 1000 }),
    denyOf({ name: 'first', status: 451 }),
    denyOf({ name: 'second' }),
  ]
  const ruling = compileRules(policyOf({ deny })).rule(factsOf(), parseAddress('198.51.100.7')!)
  t.match(ruling, { kind: 'deny', entry: { name: 'first', status: 451 } })
})

t.test('an entry ends with its time, while the policy stays in force', async (t) => {
  let now = 1_000_000
  t.intercept(Date, 'now', { value: () => now })
  const rules = compileRules(
    policyOf({ deny: [denyOf({ until: 1_000_500 })], exempt: [exemptOf({ until: 1_001_000 })] }),
  )
  const kind = () => rules.rule(factsOf(), parseAddress('198.51.100.7')!).kind
  t.equal(kind(), 'deny')
  now = 1_000_499
  t.equal(kind(), 'deny')
  now = 1_000_500
  t.equal(kind(), 'exempt')
  now = 1_001_000
  t.equal(kind(), 'limit')
})

t.test('no other spelling of an exempt path is exempt', async (t) => {
  const exempt = [exemptOf({ match: health })]
  t.equal(ruled({ exempt }, { url: '/health' }).kind, 'exempt')
  t.equal(ruled({ exempt }, { url: '/health?x=y' }).kind, 'exempt')
  t.equal(ruled({ exempt }, { url: '/x/../health' }).kind, 'exempt', 'it is forwarded as /health')
  for (const url of ['//health', '/health/', '/%68ealth', '/x/..%2fhealth', '/health;x', '/Health', '/x/..;/health']) {
    t.equal(ruled({ exempt }, { url }).kind, 'limit', url)
  }
})

t.test('a spelling is exempt where the policy writes it so', async (t) => {
  for (const path of ['//health', '/health/', '/%68ealth', '/a%2Fb', '/a;v=1']) {
    const exempt = [exemptOf({ match: matchOf({ paths: [path] }) })]
    t.equal(ruled({ exempt }, { url: path }).kind, 'exempt', path)
    t.equal(ruled({ exempt }, { url: '/health' }).kind, 'limit', path)
  }
})

t.test('an exempt prefix lets nothing out of itself', async (t) => {
  const exempt = [exemptOf({ match: matchOf({ paths: ['/public/**'] }) })]
  t.equal(ruled({ exempt }, { url: '/public/a%2Fb' }).kind, 'exempt')
  for (const url of ['/public/..%2fadmin', '/public/%2e%2e%2Fadmin', '/public/..;/admin', '/public/..%5cadmin']) {
    t.equal(ruled({ exempt }, { url }).kind, 'limit', url)
  }
})

t.test('every spelling of a denied or limited path is denied or limited', async (t) => {
  const limits = [limitOf({ match: health })]
  const spellings = ['/health', '//health', '/health/', '/%68ealth', '/x/..%2fhealth', '/health;x', '//x/health']
  for (const url of spellings) {
    t.equal(ruled({ deny: [denyOf({ match: health })] }, { url }).kind, 'deny', url)
    t.same(ruled({ limits }, { url }).limits, ['device'], url)
  }
  t.same(ruled({ limits }, { url: '/healthy' }).limits, [])
})

t.test('all limits that match apply, in the order of the policy', async (t) => {
  const limits = [
    limitOf({ name: 'all' }),
    limitOf({ name: 'other', match: matchOf({ paths: ['/other'] }) }),
    limitOf({ name: 'writes', match: matchOf({ methods: ['POST'] }) }),
    limitOf({ name: 'login', match: matchOf({ paths: ['/login'] }) }),
  ]
  t.same(ruled({ limits }, { url: '/login', method: 'POST' }).limits, ['all', 'writes', 'login'])
  t.same(ruled({ limits: limits.toReversed() }, { url: '/login' }).limits, ['login', 'all'])
})

const PREFLIGHT = ['Origin', 'https://a.example', 'Access-Control-Request-Method', 'PUT']

t.test('a preflight has a limit of its own by setting, and only a whole one', async (t) => {
  const limits = [limitOf({ name: 'all' }), limitOf({ name: 'writes', match: matchOf({ methods: ['OPTIONS'] }) })]
  t.same(ruled({ limits }, { method: 'OPTIONS', fields: PREFLIGHT }).limits, ['preflight'])
  t.same(ruled({ limits, exemptPreflight: false }, { method: 'OPTIONS', fields: PREFLIGHT }).limits, ['all', 'writes'])
  t.equal(ruled({ limits: limits.slice(1) }, { method: 'OPTIONS', fields: PREFLIGHT }).kind, 'exempt')
  t.equal(ruled({ exempt: [exemptOf()] }, { method: 'OPTIONS', fields: PREFLIGHT }).kind, 'exempt')
  t.equal(ruled({ exemptPreflight: false }, { method: 'OPTIONS', fields: PREFLIGHT }).kind, 'limit')
  for (const more of [
    ['Content-Length', '3'],
    ['Cookie', 'a=b'],
    ['Authorization', 'x'],
  ]) {
    const fields = [...PREFLIGHT, ...more]
    t.equal(ruled({}, { method: 'OPTIONS', fields }).kind, 'limit', `no browser sends ${more[0]} with one`)
  }
  t.equal(ruled({}, { method: 'GET', fields: PREFLIGHT }).kind, 'limit')
  t.equal(ruled({}, { method: 'OPTIONS', fields: PREFLIGHT.slice(2) }).kind, 'limit')
  t.equal(ruled({}, { method: 'OPTIONS', fields: PREFLIGHT.slice(0, 2) }).kind, 'limit')
  t.equal(ruled({ deny: [denyOf()] }, { method: 'OPTIONS', fields: PREFLIGHT }).kind, 'deny')
})

t.test('the route is the first entry that says more than everything', async (t) => {
  const limits = [
    limitOf({ name: 'all' }),
    limitOf({ name: 'login', match: matchOf({ paths: ['/login'] }) }),
    limitOf({ name: 'writes', match: matchOf({ methods: ['POST'] }) }),
  ]
  t.equal(ruled({ limits }, { url: '/login', method: 'POST' }).route, 'login')
  t.equal(ruled({ limits }, { url: '/', method: 'POST' }).route, 'writes')
  t.equal(ruled({ limits }, { url: '/' }).route, 'default')
  t.equal(ruled({ limits, deny: [denyOf({ match: health })] }, { url: '/health' }).route, 'denied')
  t.equal(ruled({ limits, deny: [denyOf({ cidr: ['0.0.0.0/0'] })] }, { url: '/login' }).route, 'default')
  t.equal(ruled({ limits, exempt: [exemptOf({ match: health })] }, { url: '/health' }).route, 'exempted')
  t.equal(ruled({ limits, exempt: [exemptOf()] }, { url: '/login' }).route, 'default')
  t.equal(ruled({ limits }, { url: '/login', method: 'OPTIONS', fields: PREFLIGHT }).route, 'default')
})

t.test('routes beyond a hundred are one', async (t) => {
  const limits = Array.from({ length: 150 }, (_, n) =>
    limitOf({ name: `limit-${n}`, match: matchOf({ paths: [`/${n}`] }) }),
  )
  const rules = compileRules(policyOf({ limits: [limitOf({ name: 'all' }), ...limits] }))
  const routeOf = (url: string) => rules.rule(factsOf({ url }), parseAddress('198.51.100.7')!).route
  t.equal(routeOf('/0'), 'limit-0')
  t.equal(routeOf('/99'), 'limit-99')
  t.equal(routeOf('/100'), 'other')
  t.equal(routeOf('/149'), 'other')
  t.equal(routeOf('/150'), 'default')
  t.equal(new Set(rules.routes).size, 102)
  const seen = new Set(Array.from({ length: 200 }, (_, n) => routeOf(`/${n}`)))
  for (const route of seen) t.ok(rules.routes.includes(route), route)
})

t.test('what the policy keys clients by may come once only', async (t) => {
  const apiKeys = { header: 'x-api-key', principals: new Map(), enrolment: 'controlled' } as const
  const { identity } = policyOf()
  t.same(compileRules(policyOf()).singleFields, [])
  t.same(compileRules(policyOf({ identity: { ...identity, apiKeys } })).singleFields, ['x-api-key'])
  const clientAddress = { kind: 'header', header: 'cf-connecting-ip' } as const
  const clientCertificate = { header: 'x-cert', field: null, enrolment: 'controlled' } as const
  const { fieldRoles } = compileRules(policyOf({ identity: { ...identity, clientAddress, clientCertificate } }))
  for (const name of ['cf-connecting-ip', 'x-cert']) {
    t.notOk(compileRules(policyOf()).fieldRoles(name).isForwarding, name)
    t.ok(fieldRoles(name).isForwarding, name)
  }
})

t.test('while a shared store is away an instance grants its part', async (t) => {
  const store = {
    kind: 'redis',
    maxBuckets: 10,
    servers: { kind: 'single', url: 'redis://127.0.0.1' },
    password: null,
    tls: null,
    keyPrefix: 'x',
    timeout: 20,
    onError: 'local',
    expectedInstances: 3,
    lease: 'off',
  } as const
  const [shared] = compileRules(policyOf({ store })).plans
  t.equal(shared!.localPools.device.capacity, shared!.pools.device.capacity / 3)
  const [local] = compileRules(policyOf()).plans
  t.equal(local!.localPools.device.capacity, local!.pools.device.capacity)
})

t.test('a reload keeps what is known of clients, unless the policy says something else of identities', async (t) => {
  const policy = policyOf()
  const first = compile(policy, { wallMs: () => 0 })
  const same = compile({ ...policy, mode: 'shadow', identity: { ...policy.identity } }, { wallMs: () => 0 }, first)
  t.equal(same.identify, first.identify)
  t.equal(same.clientAddress, first.clientAddress)
  t.not(same.rule, first.rule)
  const trusting = { ...policy, identity: { ...policy.identity, trustedProxies: ['10.0.0.0/8'] } }
  const other = compile(trusting, { wallMs: () => 0 }, first)
  t.not(other.identify, first.identify)
  t.not(other.clientAddress, first.clientAddress)
  const principals = new Map([['0'.repeat(64), 'acme']])
  const keys = { header: 'x-api-key', enrolment: 'controlled', principals } as const
  const keyed = compile({ ...policy, identity: { ...policy.identity, apiKeys: keys } }, { wallMs: () => 0 }, first)
  const renamed = { ...keys, principals: new Map([['0'.repeat(64), 'globex']]) }
  const again = { ...policy, identity: { ...policy.identity, apiKeys: renamed } }
  t.not(compile(again, { wallMs: () => 0 }, keyed).identify, keyed.identify, 'a key of another name too')
})
