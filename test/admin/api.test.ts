import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { ShownOrder, ShownState } from '../../src/admin/shown.ts'
import type { Refused } from '../../src/proxy/top-refused.ts'
import { manualClock, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { startUpstream } from '../fixtures/upstream.ts'

const TOKEN = 'the-admin-token'
const ANY = 'A'.repeat(22)
const TOMORROW = new Date(Date.now() + 86_400_000).toISOString()

t.test(
  'what changes something needs the token, as a bearer, and its body shape is told when it is wrong',
  async (t) => {
    const { post } = await open(t)
    for (const action of ['reset', 'ban', 'grant', 'lift']) {
      const order = { key: ANY, reason: 'why not' }
      for (const authorization of [
        '',
        'Bearer',
        'Bearer x',
        `Bearer ${TOKEN}x`,
        `Bearer ${TOKEN.slice(1)}`,
        TOKEN,
        `Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`,
      ]) {
        const refused = await post(action, order, { authorization })
        t.equal(refused.status, 401, `${action}: ${authorization}`)
        t.equal(refused.headers.get('content-type'), 'application/problem+json')
        t.equal(refused.headers.get('www-authenticate'), 'Bearer realm="Sluice"', 'a browser asks for nothing')
      }
      t.not((await post(action, order, { authorization: `bearer ${TOKEN}` })).status, 401)
    }
  },
)

t.test('without a token in the policy nothing can be changed, and the answer says what to set', async (t) => {
  const { post } = await open(t, { adminToken: null })
  const refused = await post('ban', { key: ANY, for: '1h', reason: 'x' }, { authorization: 'Bearer ' })
  t.equal(refused.status, 403)
  t.match(await refused.text(), 'set admin_token, admin_token_file or SLUICE_ADMIN_TOKEN')
})

t.test('on loopback reading needs no token; beyond it all but metrics and health do', async (t) => {
  const near = await open(t)
  t.equal((await near.get('/api/stats')).status, 200)
  const far = await open(t, { admin: { host: '0.0.0.0', port: 0 } })
  for (const path of ['/metrics', '/livez', '/readyz']) t.equal((await far.get(path)).status, 200, path)
  for (const path of ['/', '/page.js', '/api/stats', '/api/policy', '/api/none', '/none', `/api/keys/${ANY}`]) {
    const refused = await far.get(path)
    t.equal(refused.status, 401, path)
    t.match(refused.headers.get('www-authenticate'), /^Basic realm=.*, Bearer/)
    t.not((await far.get(path, { authorization: `Bearer ${TOKEN}` })).status, 401, path)
    const basic = Buffer.from(`anyone:${TOKEN}`).toString('base64')
    t.not((await far.get(path, { authorization: `Basic ${basic}` })).status, 401, path)
    t.equal((await far.get(path, { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` })).status, 401)
  }
  const untold = await open(t, { admin: { host: '0.0.0.0', port: 0 }, adminToken: null })
  t.equal((await untold.get('/api/stats')).status, 403)
  t.equal((await untold.get('/metrics')).status, 200)
})

t.test('a reload changes the token', async (t) => {
  const { app, policy, post } = await open(t)
  app.reload({ ...policy, adminToken: 'another' })
  const order = { key: ANY, for: '1h', reason: 'x' }
  t.equal((await post('ban', order)).status, 401)
  t.equal((await post('ban', order, { authorization: 'Bearer another' })).status, 200)
})

t.test('a body that is wrong is refused, each with what to write', async (t) => {
  const { post, adminUrl } = await open(t)
  const good = { key: ANY, for: '1h', reason: 'x' }
  for (const [order, status, detail] of [
    [{ ...good, key: '127.0.0.1' }, 400, 'key is not a pseudonym'],
    [{ ...good, key: `${ANY}~3` }, 400, 'order about their network'],
    [{ ...good, reason: ' ' }, 400, 'reason is missing'],
    [{ ...good, reason: 'x'.repeat(301) }, 400, 'longer than 300'],
    [{ ...good, for: '1 hour' }, 400, "for: '1 hour' is not a duration; write 15m"],
    [{ ...good, for: '400d' }, 400, 'too long; write at most 366d'],
    [{ ...good, until: '2040-01-01' }, 400, 'for and until are both there'],
    [{ ...good, for: undefined, until: '2020-01-01T00:00:00Z' }, 400, 'until has passed'],
    [{ ...good, for: undefined, until: 'tomorrow' }, 400, "until: 'tomorrow' is not a time"],
    [{ ...good, unitl: '1h' }, 400, "'unitl' is not a member of this; write key, for, until, reason"],
  ] as const) {
    const answer = await post('ban', order)
    t.equal(answer.status, status, detail)
    t.match(await answer.text(), detail)
  }
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const raw = (body: string, more = {}) =>
    fetch(`${adminUrl}/api/ban`, { method: 'POST', headers: { ...headers, ...more }, body })
  t.equal((await raw('[1]')).status, 400)
  t.equal((await raw('{')).status, 400)
  t.equal((await raw('{}', { 'content-type': 'text/plain' })).status, 415)
  t.equal((await raw(`{"key":"${'x'.repeat(20_000)}"}`)).status, 413)
  const get = await fetch(`${adminUrl}/api/ban`)
  t.equal(get.status, 401)
  const allowed = await fetch(`${adminUrl}/api/ban`, { headers })
  t.equal(allowed.status, 405)
  t.equal(allowed.headers.get('allow'), 'POST')
})

t.test(
  'a ban refuses with 403 until it ends by the clock, also what no limit counts, and survives a reload',
  async (t) => {
    let nowMs = Date.parse('2027-01-01T00:00:00Z')
    const { app, policy, ask, post, network, metric } = await open(t, {}, { wallMs: () => nowMs })
    t.equal(await ask(), 200)
    t.equal((await post('ban', { key: await network(), for: '15m', reason: 'scrapes' })).status, 200)
    t.equal(await ask(), 403)
    app.reload({ ...policy, limits: [] })
    t.equal(await ask(), 403)
    nowMs += 15 * 60_000 - 1
    t.equal(await ask(), 403)
    nowMs += 1
    t.equal(await ask(), 200)
    t.equal(await metric('sluice_requests_total', { outcome: 'denied' }), 3)
  },
)

t.test('in shadow a ban refuses nobody, as a deny does not', async (t) => {
  const { ask, post, network, logged } = await open(t, { mode: 'shadow' })
  await post('ban', { key: await network(), for: '15m', reason: 'scrapes' })
  t.equal(await ask(), 200)
  t.equal(logged('request').at(-1)!.denied_by, 'ban')
})

t.test('a grant exempts from the limits, and a ban on the same client goes first', async (t) => {
  const { ask, post, network, get, metric } = await open(t)
  while ((await ask()) !== 429);
  const { refused } = (await (await get('/api/refused')).json()) as { refused: Refused[] }
  const { key, tag } = refused[0]!
  t.same(refused, [{ key, tier: 'class', tag, network: await network(), networks: 1, count: 1, error: 0 }])
  t.equal((await post('grant', { key, until: TOMORROW, reason: 'partner' })).status, 200)
  t.equal(await ask(), 200)
  t.equal(await metric('sluice_requests_total', { outcome: 'exempt' }), 1)
  await post('ban', { key: await network(), for: '1h', reason: 'all of them' })
  t.equal(await ask(), 403)
  t.same(
    ((await (await get('/api/orders')).json()) as ShownOrder[]).map(({ kind, reason }) => [kind, reason]),
    [
      ['ban', 'all of them'],
      ['grant', 'partner'],
    ],
  )
  t.equal((await post('lift', { key: await network(), reason: 'over' })).status, 200)
  t.equal(await ask(), 200)
  t.equal((await post('lift', { key, reason: 'over' })).status, 200)
  t.equal(await ask(), 429)
  t.equal((await post('lift', { key, reason: 'over' })).status, 404)
})

t.test('a key shows its buckets as they are, refilling by the clock, and a reset fills them', async (t) => {
  const clock = manualClock()
  const { ask, post, keys } = await open(t, {}, { clock })
  await ask()
  await ask()
  const look = async () => (await keys({ address: '127.0.0.1', user_agent: 'tester', accept_language: 'en' }))[0]!
  const own = { limit: 'device', bucket: 'own', burst: 3, rate: 0.1 }
  t.match(await look(), {
    kind: 'class',
    buckets: [{ ...own, debt: 2, remaining: 1, next_ms: 10_000, full_ms: 20_000 }],
  })
  clock.advance(5000)
  t.match((await look()).buckets, [{ ...own, debt: 1.5, remaining: 1, next_ms: 5000, full_ms: 15_000 }])
  await ask()
  t.equal(await ask(), 429)
  const { key } = await look()
  t.equal((await post('reset', { key, reason: 'helpdesk' })).status, 200)
  t.match((await look()).buckets, [{ ...own, debt: 0, remaining: 3, next_ms: 0, full_ms: 0 }])
  t.equal(await ask(), 200)
})

t.test('looking something up charges nothing, and what it was looked up by is found nowhere', async (t) => {
  const { post, get, keys, lines, metric, ask } = await open(t)
  await ask()
  const canaries = { address: '198.51.100.77', token: 'canary-token-value', user_agent: 'canary-agent' }
  for (let n = 0; n < 5; n++) t.equal((await keys(canaries)).length, 3)
  t.same(
    (await keys(canaries)).map(({ kind }) => kind),
    ['token', 'class', 'network'],
  )
  const { key, buckets } = (await keys(canaries))[0]!
  t.equal(buckets![0]!.debt, 0)
  const wrong = await post('lookup', { address: 'canary-token-value' })
  t.equal(wrong.status, 400)
  t.notMatch(await wrong.text(), 'canary')
  await post('ban', { key, for: '1h', reason: 'x' })
  const shown = await Promise.all(
    ['stats', 'refused', 'orders', 'audit', 'policy', `keys/${key}`].map(async (path) =>
      (await get(`/api/${path}`)).text(),
    ),
  )
  for (const text of [...shown, ...lines, JSON.stringify(await keys(canaries))]) {
    for (const canary of Object.values(canaries)) t.notMatch(text, canary)
  }
  t.equal(await metric('sluice_requests_total'), 1)
})

t.test('an API key is looked up under its principal, an unlisted one under what it claims', async (t) => {
  const hash = createHash('sha256').update('the-key').digest('hex')
  const apiKeys = { header: 'x-api-key', principals: new Map([[hash, 'acme']]), enrolment: 'controlled' } as const
  const { keys, post } = await open(t, { identity: { apiKeys } })
  t.match(await keys({ api_key: 'the-key' }), [{ kind: 'principal' }])
  t.match(await keys({ api_key: 'no-key' }), [{ kind: 'token' }])
  const none = await post('lookup', {})
  t.match(await none.text(), 'nothing to look up; write an address, a token or an api_key')
})

t.test(
  'the policy is shown without its secrets, with when it was loaded and whether the last reload was taken',
  async (t) => {
    const { app, get, policy } = await open(t)
    const shown = await (await get('/api/policy')).text()
    for (const secret of [TOKEN, ...policy.identity.secrets]) t.notMatch(shown, secret)
    t.match(JSON.parse(shown), { hash: 'test', file: null, last_reload: 'success', policy: { mode: 'enforce' } })
    t.ok(Math.abs(JSON.parse(shown).loaded_at_ms - Date.now()) < 60_000)
    app.refuseReload()
    t.match(await (await get('/api/policy')).json(), { last_reload: 'failure' })
  },
)

const SLOW = { rate: { tokens: 1, seconds: 3600 }, newcomers: null, members: null } as const

t.test(
  'a look-up shows what everybody shares, and what those share who leave out a key; a reset fills neither',
  async (t) => {
    const all = limitOf({ name: 'all', per: 'global', burst: 9, ...SLOW })
    const proven = limitOf({ name: 'proven', per: 'principal', onMissing: 'share', burst: 9, ...SLOW })
    const { ask, post, keys } = await open(t, { limits: [all, proven] })
    await ask()
    await ask()
    const shared = [
      { limit: 'all', bucket: 'global', remaining: 7, burst: 9 },
      { limit: 'proven', bucket: 'missing', remaining: 7 },
    ]
    const [state] = await keys({ address: '127.0.0.1' })
    t.match(state, { buckets: shared, untold: [] })
    t.equal((await post('reset', { key: state!.key, reason: 'x' })).status, 200)
    t.match((await keys({ address: '127.0.0.1' }))[0]!.buckets, shared)
  },
)

t.test(
  'a limit with a list of sources shows its bucket where the look-up gives all of them, else says what it lacks',
  async (t) => {
    const apiKeys = { header: 'x-api-key', principals: new Map(), enrolment: 'open' } as const
    const byKey = limitOf({
      name: 'by-key',
      per: [{ kind: 'header', name: 'x-api-key' }, { kind: 'network' }],
      burst: 5,
      ...SLOW,
    })
    const byAgent = limitOf({
      name: 'by-agent',
      per: [{ kind: 'device' }, { kind: 'header', name: 'user-agent' }],
      burst: 6,
      ...SLOW,
    })
    const bySearch = limitOf({
      name: 'by-search',
      per: [{ kind: 'query', name: 'q' }, { kind: 'network' }],
      onMissing: 'share',
      burst: 7,
      ...SLOW,
    })
    const limits = [byKey, byAgent, bySearch]
    const { url, get, post, keys } = await open(t, { identity: { apiKeys }, limits }, { clock: manualClock() })
    const headers = { 'user-agent': 'tester', 'accept-language': 'en', 'x-api-key': 'the-key' }
    for (let n = 0; n < 2; n++) await (await fetch(`${url}/?q=x`, { headers })).arrayBuffer()
    const shown = { address: '127.0.0.1', api_key: 'the-key', user_agent: 'tester', accept_language: 'en' }
    const states = await keys(shown)
    const bucketsOf = (limit: string) => states.flatMap((state) => (state.limit === limit ? state.buckets! : []))
    t.match(bucketsOf('by-key'), [{ limit: 'by-key', bucket: 'own', remaining: 3, burst: 5 }])
    t.match(
      bucketsOf('by-agent').filter(({ debt }) => debt > 0),
      [
        { limit: 'by-agent', bucket: 'own', remaining: 4 },
        { limit: 'by-agent', bucket: 'own', remaining: 4 },
        { limit: 'by-agent', bucket: 'newcomers', debt: 2 },
      ],
      'the key that nobody lists has one, and its class, and its network',
    )
    t.match(states[0]!.untold, [{ limit: 'by-search', why: 'it counts by query:q, which a look-up does not give' }])
    t.match((await keys({ api_key: 'the-key' }))[0]!.untold, [
      { limit: 'by-key', why: /^it counts by network,/ },
      { limit: 'by-agent', why: /^it counts by device, header:user-agent,/ },
      { limit: 'by-search' },
    ])
    const { key } = states.find(({ limit }) => limit === 'by-key')!
    const one = (await (await get(`/api/keys/${key}`)).json()) as ShownState
    t.match(
      one.buckets?.find(({ limit }) => limit === 'by-key'),
      { remaining: 3 },
      'by its pseudonym too',
    )
    t.equal((await post('reset', { key, reason: 'x' })).status, 200)
    t.match((await keys(shown)).find(({ limit }) => limit === 'by-key')?.buckets, [{ remaining: 5, debt: 0 }])
  },
)

t.test('of the policy no value is shown that a field which bears a credential must have', async (t) => {
  const headers = ['authorization', 'x-plan'].map((name) => ({ name, value: `canary ${name}` }))
  const limit = limitOf({ match: { paths: [], methods: [], notMethods: [], hosts: [], headers } })
  const { get } = await open(t, { limits: [limit] })
  const shown = await (await get('/api/policy')).text()
  t.notMatch(shown, 'canary authorization')
  t.match(shown, 'canary x-plan')
})

t.test('what a limit is per is told in words, also where it is a list', async (t) => {
  const per = [
    { kind: 'header', name: 'x-tenant' },
    { kind: 'path', segment: 1 },
  ] as const
  const { get } = await open(t, { limits: [limitOf({ name: 'listed', per })] })
  t.match(await (await get('/api/stats')).json(), { limits: [{ name: 'listed', per: ['header:x-tenant', 'path:1'] }] })
})

t.test('what is done is kept with its reason, and logged', async (t) => {
  const { post, get, logged } = await open(t)
  const reason = 'line one\nline two <b>'
  await post('ban', { key: ANY, until: TOMORROW, reason })
  await post('lift', { key: ANY, reason: 'over' })
  await post('reset', { key: ANY, reason: 'fresh' })
  const deeds = await (await get('/api/audit')).json()
  t.match(deeds, [
    { action: 'reset', reason: 'fresh' },
    { action: 'lift', key: ANY, reason: 'over' },
    { action: 'ban', reason: 'line one·line two <b>', until_ms: Date.parse(TOMORROW) },
  ])
  t.match(logged('done through the admin port'), [
    { action: 'ban', key: ANY, until: TOMORROW },
    { action: 'lift' },
    { action: 'reset' },
  ])
})

/** The names of all members, however deep; header fields that an explanation lists are no names of ours. */
function namesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(namesIn)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => [name, ...(name === 'fields' ? [] : namesIn(member))])
}

t.test('each name in each answer is in snake_case', async (t) => {
  const { ask, post, get, network, keys } = await open(t)
  while ((await ask()) !== 429);
  const key = await network()
  const done = [
    await post('ban', { key: ANY, for: '1h', reason: 'x' }),
    await post('grant', { key, for: '1h', reason: 'x' }),
    await post('reset', { key, reason: 'x' }),
  ]
  const refusals = (await (await get('/api/refusals')).json()) as { request_id: string }[]
  const paths = [
    'stats',
    'refused',
    'refusals',
    'orders',
    'audit',
    'policy',
    `keys/${key}`,
    'explain?url=/&from=127.0.0.2',
  ]
  const read = [...paths, `explain?request_id=${refusals[0]!.request_id}`].map((path) => get(`/api/${path}`))
  done.push(...(await Promise.all(read)), await post('lift', { key, reason: 'x' }))
  const answers: unknown[] = await Promise.all(done.map((answer) => answer.json()))
  const names = [...new Set(namesIn([...answers, await keys({ address: '127.0.0.1' })]))]
  for (const name of ['until_ms', 'since_ms', 'at_ms', 'wait_ms', 'request_id', 'rate_per_second', 'max_buckets']) {
    t.ok(names.includes(name), name)
  }
  t.same(
    names.filter((name) => !/^[a-z][a-z\d_]*$/.test(name)),
    [],
  )
})

async function open(t: Test, changes: PolicyChanges = {}, options: Parameters<typeof startTestApp>[2] = {}) {
  const upstream = await startUpstream(t)
  const limits = [limitOf({ rate: { tokens: 1, seconds: 10 }, burst: 3 })]
  const app = await startTestApp(t, { limits, adminToken: TOKEN, ...changes, upstream: { url: upstream.url } }, options)
  const adminUrl = app.adminUrl.replace('0.0.0.0', '127.0.0.1')
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${adminUrl}${path}`, { headers })
  const post = (action: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${adminUrl}/api/${action}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  const keys = async (shown: unknown) => (await (await post('lookup', shown)).json()) as ShownState[]
  return {
    ...app,
    adminUrl,
    get,
    post,
    keys,
    async ask() {
      const response = await fetch(app.url, { headers: { 'user-agent': 'tester', 'accept-language': 'en' } })
      await response.arrayBuffer()
      return response.status
    },
    async network(): Promise<string> {
      return (await keys({ address: '127.0.0.1' })).find(({ kind }) => kind === 'network')!.key
    },
  }
}
