import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { ShownState } from '../../src/admin/shown.ts'
import { describe } from '../../src/explain/describe.ts'
import { readQuestion } from '../../src/explain/question.ts'
import { manualClock, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { startRedis } from '../fixtures/redis-server.ts'

const MATCH = { paths: [], methods: [], notMethods: [], hosts: [], headers: [] }
const DEVICE = limitOf({ name: 'device', rate: { tokens: 1, seconds: 1 }, burst: 5, newcomers: null })
const LOGIN = limitOf({
  ...{ name: 'login', per: 'network', rate: { tokens: 1, seconds: 10 }, burst: 2, newcomers: null },
  match: { ...MATCH, paths: ['/login'], methods: ['POST'] },
})

/** A proxy on clocks that stand still, before an upstream that answers. */
async function start(t: Test, changes: PolicyChanges = {}) {
  const upstream = createServer({ maxHeaderSize: 131_072 }, (_, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => void upstream.close())
  const clock = manualClock()
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const app = await startTestApp(t, { limits: [DEVICE, LOGIN], upstream: { url }, ...changes }, { clock })
  return {
    ...app,
    clock,
    ask: async (init: RequestInit = {}, path = '/') => {
      const answer = await fetch(`${app.url}${path}`, { ...init, headers: { 'User-Agent': 'a', ...init.headers } })
      await answer.arrayBuffer()
      return answer
    },
    explain: (given: object = {}) =>
      app.app.backstage.explain(
        readQuestion({ url: '/', headers: { 'User-Agent': 'a', 'Accept-Language': '*' }, ...given }),
      ),
  }
}

t.test('what is explained is what happens then, to each field and each token', async (t) => {
  const proxy = await start(t)
  for (let n = 0; n < 7; n++) {
    const before = await proxy.explain()
    const answer = await proxy.ask()
    t.equal(before.status ?? 200, answer.status, `request ${n}`)
    t.equal(before.fields.RateLimit, answer.headers.get('ratelimit'))
    t.equal(before.fields['RateLimit-Policy'], answer.headers.get('ratelimit-policy'))
    t.equal(before.fields['Retry-After'] ?? null, answer.headers.get('retry-after'))
    proxy.clock.advance(100)
  }
})

t.test('explaining a thousand times leaves every bucket as it was, and admits nobody', async (t) => {
  const proxy = await start(t)
  await proxy.ask()
  const first = await proxy.explain()
  const [device] = first.limits
  t.match(device?.buckets, [
    { pool: 'class', before: 4, after: 3 },
    { pool: 'newcomers', before: 9, after: 8 },
  ])
  const buckets = await proxy.metric('sluice_buckets')
  for (let n = 0; n < 1000; n++) {
    await proxy.explain({
      headers: [
        ['User-Agent', 'a'],
        ['Accept-Language', '*'],
        ['Authorization', `Bearer ${n % 2}`],
      ],
    })
  }
  t.same(await proxy.explain(), first)
  t.equal(await proxy.metric('sluice_buckets'), buckets)
  t.equal(await proxy.metric('sluice_admissions_total'), 0)
  t.equal(await proxy.metric('sluice_requests_total'), 1)
  t.same(await proxy.app.backstage.topRefused(), { ...(await proxy.app.backstage.topRefused()), refused: [] })
})

t.test('a cookie that could be admitted is explained as a member, and is admitted by its request alone', async (t) => {
  const deviceCookie = { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' } as const
  const proxy = await start(t, { identity: { deviceCookie } })
  const cookie = (await proxy.ask()).headers.getSetCookie()[0]!.split(';', 1)[0]!
  const headers = { 'User-Agent': 'a', 'Accept-Language': '*', Cookie: cookie }
  const told = await proxy.explain({ headers })
  t.match(told.identity, { tier: 'member', pool: 'members' })
  t.match(
    told.identity?.evidence.join(),
    /a device mark of ours \(cookie\), [01] min old, grade 0, given on this network/,
  )
  t.equal(await proxy.metric('sluice_admissions_total'), 0)
  const answer = await proxy.ask({ headers: { Cookie: cookie } })
  t.equal(told.fields.RateLimit, answer.headers.get('ratelimit'))
  t.equal(await proxy.metric('sluice_admissions_total', { result: 'admitted' }), 1)
  t.match((await proxy.explain({ headers })).identity, { tier: 'member', members: 1 })
})

t.test('limits that do not apply say why', async (t) => {
  const proxy = await start(t)
  const reasons = async (given: object) => (await proxy.explain(given)).limits[1]?.mismatches
  t.same(await reasons({ method: 'POST', url: '/login' }), [])
  t.same(await reasons({ url: '/login/' }), ['method GET is not POST'])
  t.same(await reasons({ url: '/x' }), ['path /x is not /login', 'method GET is not POST'])
})

t.test('each hop of the address is told, and why the walk ended', async (t) => {
  const proxy = await start(t, { identity: { trustedProxies: ['10.0.0.0/8'] } })
  const headers = { 'X-Forwarded-For': '203.0.113.9, 10.0.0.2' }
  t.match((await proxy.explain({ from: '10.0.0.1', headers })).address, {
    client: '203.0.113.9',
    end: 'untrusted',
    hops: [
      { written: '10.0.0.1', is_trusted: true },
      { written: '10.0.0.2', is_trusted: true },
      { written: '203.0.113.9', is_trusted: false },
    ],
  })
  t.match((await proxy.explain({ from: '192.0.2.1', headers })).address, { client: '192.0.2.1', hops: [{}] })
})

t.test('denied, exempt, banned, granted and malformed requests say by what', async (t) => {
  const proxy = await start(t, {
    deny: [{ name: 'bad', cidr: ['198.51.100.0/24'], match: MATCH, until: null, reason: 'abuse', status: 410 }],
    exempt: [{ name: 'health', cidr: [], match: { ...MATCH, paths: ['/health'] }, until: null, reason: null }],
  })
  t.match(await proxy.explain({ from: '198.51.100.1' }), {
    ruling: 'denied',
    entry: 'bad',
    reason: 'abuse',
    verdict: 'denied',
    status: 410,
  })
  t.match(await proxy.explain({ url: '/health' }), { ruling: 'exempt', entry: 'health', verdict: 'forwarded' })
  t.match(await proxy.explain({ url: '/%zz' }), { ruling: 'malformed', status: 400 })
  t.match(await proxy.explain({ headers: [['a b', 'c']] }), { ruling: 'malformed', status: 400 })
  const { network } = (await proxy.explain()).identity!
  const order = { key: network, untilMs: Date.now() + 60_000, reason: 'asked for' }
  await proxy.app.backstage.place({ ...order, kind: 'ban' })
  t.match(await proxy.explain(), { ruling: 'banned', reason: 'asked for', status: 403 })
  t.equal((await proxy.ask()).status, 403)
  await proxy.app.backstage.place({ ...order, kind: 'grant' })
  t.match(await proxy.explain(), { ruling: 'granted', verdict: 'forwarded' })
})

t.test('a request that has come through this proxy before is explained as the loop that it is', async (t) => {
  const proxy = await start(t)
  const via = (await proxy.ask()).headers.get('via')!
  t.match(await proxy.explain({ headers: { Via: via } }), { ruling: 'looped', verdict: 'looped', status: 508 })
  t.equal((await proxy.ask({ headers: { Via: via } })).status, 508)
  t.match(await proxy.explain({ headers: { Via: '1.1 another' } }), { ruling: 'limited', status: null })
})

t.test('what exempts is named, also where it has no match, and a preflight is told as one', async (t) => {
  const office = { name: 'office', cidr: ['192.0.2.0/24'], match: MATCH, until: null, reason: 'ours' }
  const proxy = await start(t, { exempt: [office] })
  t.match(await proxy.explain({ from: '192.0.2.9' }), { ruling: 'exempt', entry: 'office', reason: 'ours' })
  const headers = { Origin: 'https://a.example', 'Access-Control-Request-Method': 'PUT' }
  const told = await proxy.explain({ method: 'OPTIONS', headers })
  t.equal(told.ruling, 'limited')
  t.same(
    told.limits.map(({ limit, outcome }) => [limit, outcome]),
    [
      ['device', null],
      ['login', null],
      ['preflight', 'allowed'],
    ],
  )
  t.match(describe(told), /the request is a CORS preflight/m)
})

t.test('a question is not counted as a request that bears a forged mark or a bad token', async (t) => {
  const deviceCookie = { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' } as const
  const proxy = await start(t, { identity: { deviceCookie } })
  const given = (await proxy.ask()).headers.getSetCookie()[0]!.split(';', 1)[0]!
  const forged = `${given.slice(0, -4)}AAAA`
  await proxy.explain({ headers: { Cookie: forged } })
  t.equal(await proxy.metric('sluice_bad_device_marks_total'), 0)
  await proxy.ask({ headers: { Cookie: forged } })
  t.equal(await proxy.metric('sluice_bad_device_marks_total'), 1)
})

t.test('a head that is longer than the policy allows is refused as the proxy does', async (t) => {
  const proxy = await start(t, { server: { maxHeaderBytes: 4096 } })
  const headers = { 'User-Agent': 'a', 'X-Long': 'x'.repeat(6000) }
  t.equal((await proxy.ask({ headers })).status, 431)
  t.match(await proxy.explain({ headers }), { ruling: 'malformed', status: 431 })
  const ample = await start(t, { server: { maxHeaderBytes: 65_536 } })
  const long = { 'User-Agent': 'a', 'X-Long': 'x'.repeat(30_000) }
  t.equal((await ample.ask({ headers: long })).status, 200)
  t.match(await ample.explain({ headers: long }), { verdict: 'forwarded' })
})

t.test('what a field must hold is not told where it may be a credential', async (t) => {
  const headers = [
    { name: 'x-api-key', value: 'canary-value' },
    { name: 'x-plan', value: 'gold' },
  ]
  const proxy = await start(t, { limits: [{ ...DEVICE, match: { ...MATCH, headers } }] })
  const [limit] = (await proxy.explain()).limits
  t.same(limit?.mismatches, ["header x-api-key is not '***'", "header x-plan is not 'gold'"])
})

t.test('in every case the verdict, the status and the fields are those of the request that follows', async (t) => {
  const keyed = limitOf({
    ...{ name: 'keyed', per: [{ kind: 'header', name: 'x-tenant' }], onMissing: 'deny', burst: 2 },
    ...{ rate: { tokens: 1, seconds: 60 }, newcomers: null, match: { ...MATCH, paths: ['/keyed'] } },
  })
  const shadowed = { ...DEVICE, name: 'shadowed', mode: 'shadow', burst: 2 } as const
  const everybody = limitOf({
    name: 'everybody',
    per: 'global',
    burst: 14,
    rate: { tokens: 1, seconds: 60 },
    newcomers: null,
  })
  const proven = limitOf({
    ...{ name: 'proven', per: 'principal', onMissing: 'share', burst: 3, rate: { tokens: 1, seconds: 60 } },
    ...{ newcomers: null, match: { ...MATCH, paths: ['/proven'] } },
  } as const)
  const fields = ['ratelimit', 'ratelimit-policy', 'retry-after']
  for (const mode of ['enforce', 'shadow'] as const) {
    const proxy = await start(t, {
      ...{ mode, limits: [keyed, shadowed, everybody, proven] },
      deny: [{ name: 'bad', cidr: [], match: { ...MATCH, paths: ['/bad'] }, until: null, reason: null, status: 451 }],
    })
    const tenant = { 'User-Agent': 'a', 'Accept-Language': '*', 'X-Tenant': 'acme' }
    const cases = [
      ...['/bad', '/keyed', '/', '/', '/', '/proven', '/proven', '/proven', '/proven'].map((url) => ({ url })),
      ...Array.from({ length: 4 }, () => ({ url: '/keyed', headers: tenant })),
      ...Array.from({ length: 6 }, () => ({ url: '/' })),
    ]
    for (const [n, { url, ...more }] of cases.entries()) {
      const told = await proxy.explain({ url, ...more })
      const answer = await proxy.ask(more, url)
      const name = `${mode}: ${url}, request ${n}`
      t.equal(told.status ?? 200, answer.status, name)
      t.equal(told.verdict === 'forwarded', answer.status === 200, name)
      const lower = Object.fromEntries(Object.entries(told.fields).map(([key, value]) => [key.toLowerCase(), value]))
      for (const field of fields) t.equal(lower[field] ?? null, answer.headers.get(field), `${name}: ${field}`)
    }
  }
})

t.test('newcomers beyond the slots of a network with members are told, and counted, as overflow', async (t) => {
  const deviceCookie = { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' } as const
  const proxy = await start(t, { identity: { deviceCookie }, limits: [{ ...DEVICE, burst: 500 }] })
  const cookie = (await proxy.ask()).headers.getSetCookie()[0]!.split(';', 1)[0]!
  await proxy.ask({ headers: { Cookie: cookie } })
  // Twice, for at its first sight a class takes no slot.
  for (let n = 0; n < 140; n++) await proxy.ask({ headers: { 'User-Agent': `agent ${n >> 1}` } })
  await proxy.ask({ headers: { 'User-Agent': 'one more' } })
  const headers = { 'User-Agent': 'one more', 'Accept-Language': '*' }
  const told = await proxy.explain({ headers })
  t.match(told.identity, { tier: 'overflow', key: /^[\w-]{22}~\d+$/ })
  t.equal(told.fields.RateLimit, (await proxy.ask({ headers })).headers.get('ratelimit'))
})

t.test('a refusal shows the buckets of its key also when it is no longer among the most refused', async (t) => {
  const identity = { trustedProxies: ['127.0.0.1/32'] }
  const proxy = await start(t, { identity, limits: [{ ...DEVICE, burst: 1, rate: { tokens: 1, seconds: 600 } }] })
  const askFrom = (address: string) => proxy.ask({ headers: { 'X-Forwarded-For': address } })
  await askFrom('192.0.2.1')
  const id = (await askFrom('192.0.2.1')).headers.get('x-request-id')!
  const explained = async () => {
    const answer = await fetch(`${proxy.adminUrl}/api/explain?request_id=${id}`)
    return (await answer.json()) as { readonly now: ShownState }
  }
  const before = await explained()
  t.match(before.now, { kind: 'class', buckets: [{ bucket: 'own', remaining: 0 }] })
  for (let n = 0; n < 300; n++) for (let i = 0; i < 3; i++) await askFrom(`198.51.${n >> 8}.${n & 255}`)
  const after = await explained()
  t.equal(after.now.refused, null)
  t.same(after.now.buckets, before.now.buckets)
})

t.test('with Redis too nothing is charged, and the same is told as happens', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const proxy = await start(t, {
    limits: [{ ...DEVICE, rate: { tokens: 1, seconds: 3600 }, lease: 'off' }],
    store: {
      kind: 'redis',
      servers: { kind: 'single', url: redis.url },
      ...{ password: null, tls: null, maxBuckets: 1000, keyPrefix: 'e:', timeout: 1000, onError: 'deny' },
      ...{ expectedInstances: 1, lease: 'off' },
    },
  })
  for (let n = 0; n < 7; n++) {
    await proxy.explain()
    const told = await proxy.explain()
    const answer = await proxy.ask()
    t.equal(told.status ?? 200, answer.status, `request ${n}`)
    // Redis's own clock goes on between the two: the seconds to the next token may be one fewer.
    const [before, after] = [told.fields.RateLimit!, answer.headers.get('ratelimit')!].map((field) =>
      field.split(';t='),
    )
    t.equal(before![0], after![0])
    t.ok(Number(before![1]) - Number(after![1]) <= 1 && before![1]! >= after![1]!, `t=${before![1]}, then ${after![1]}`)
  }
})

t.test('a refusal is found by its request id, as it was decided; the oldest make room', async (t) => {
  const proxy = await start(t)
  let last: Response | undefined
  for (let n = 0; n < 6; n++) last = await proxy.ask()
  t.equal(last?.status, 429)
  const id = last!.headers.get('x-request-id')!
  const asked = await (await fetch(`${proxy.adminUrl}/api/explain?request_id=${id}`)).json()
  t.match(asked, {
    refusal: { request_id: id, verdict: 'limited', status: 429, binding: 'device', wait_ms: 1000, tier: 'class' },
    now: { buckets: [{ limit: 'device', bucket: 'own', remaining: 0 }] },
  })
  t.match(await (await fetch(`${proxy.adminUrl}/api/refusals`)).json(), [{ request_id: id }])
  for (let n = 0; n < 1000; n++) await proxy.ask()
  const gone = await fetch(`${proxy.adminUrl}/api/explain?request_id=${id}`)
  t.equal(gone.status, 404)
  t.match(await gone.json(), { detail: /not among the last 1,000/ })
})

t.test('a question that is none is 400 on the admin port, with what to write', async (t) => {
  const proxy = await start(t)
  for (const [query, detail] of [
    ['', /url: nothing is not a URL/],
    ['url=/&header=Bearer+canary', /a header line has no name before a colon; write 'Name: value'/],
    ['url=/&url=/b', /url is there twice; write it once/],
    ['url=/&request_id=x', /request_id asks about a refusal; write nothing beside it/],
    ['url=/&from=nowhere', /'nowhere' is not an address/],
    ['url=/&colour=red', /'colour' is not part of a request/],
  ] as const) {
    const answer = await fetch(`${proxy.adminUrl}/api/explain?${query}`)
    t.equal(answer.status, 400)
    const said = await answer.json()
    t.match(said, { detail })
    t.notMatch(JSON.stringify(said), 'canary')
  }
})

t.test('the whole query of a URL that is asked about is read', async (t) => {
  const per = [{ kind: 'query', name: 'q' }] as const
  const proxy = await start(t, { limits: [{ ...LOGIN, per, match: MATCH, onMissing: 'deny' }] })
  const told = await (await fetch(`${proxy.adminUrl}/api/explain?url=/search?q=1`)).json()
  t.match(told, { verdict: 'forwarded' })
})

t.test('a question with a secret in it is asked by POST, and not told again', async (t) => {
  const proxy = await start(t)
  const post = (body: unknown, fields = {}) =>
    fetch(`${proxy.adminUrl}/api/explain`, {
      ...{ method: 'POST', body: JSON.stringify(body) },
      headers: { 'content-type': 'application/json', ...fields },
    })
  const headers = { Authorization: 'Bearer canary', 'User-Agent': 'canary', Cookie: 'a=canary' }
  const told = await post({ url: '/login', method: 'POST', headers })
  t.equal(told.status, 200)
  const text = await told.text()
  t.match(JSON.parse(text), { request: { method: 'POST', path: '/login' }, ruling: 'limited' })
  t.notMatch(text, 'canary')
  for (const [body, detail] of [
    [{}, /url: nothing is not a URL/],
    [{ url: '/', headers: [['Authorization', 'Bearer canary', 'x']] }, /headers\[0\] is not a field/],
    [{ request_id: 7 }, /request_id is not a text/],
    [{ request_id: 'x', url: '/' }, /write nothing beside it/],
  ] as const) {
    const wrong = await post(body)
    const said = await wrong.json()
    t.equal(wrong.status, 400)
    t.match(said, { detail })
    t.notMatch(JSON.stringify(said), 'canary')
  }
  t.equal((await post({ request_id: 'none' })).status, 404)
  t.equal((await post({ url: '/' }, { origin: 'http://evil.example' })).status, 403)
})
