import t, { type Test } from 'tap'
import { AMPLE, eventually, type PolicyChanges, policyWith, signal, startTestApp } from '../fixtures/app.ts'
import { EVERYTHING, limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post } from '../fixtures/raw-client.ts'
import { closedPort, ok, startUpstream, type Turn } from '../fixtures/upstream.ts'
import { listenToWarnings } from '../fixtures/warnings.ts'

const DEVICE_COOKIE = policyWith().identity.deviceCookie
const OUTCOMES = ['forwarded', 'limited', 'denied', 'exempt', 'error', 'aborted'] as const
const ONCE = limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 1 })

async function startBoth(t: Test, changes: PolicyChanges = {}, script?: (turn: Turn) => void | Promise<void>) {
  const upstream = await startUpstream(t, script)
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url, ...changes.upstream } })

  async function counts() {
    await test.idle()
    const found: Record<string, number> = {}
    for (const outcome of OUTCOMES) {
      const count = await test.metric('sluice_requests_total', { outcome })
      if (count > 0) found[outcome] = count
    }
    return found
  }
  return { upstream, ...test, counts }
}

function path(...paths: readonly string[]) {
  return { ...EVERYTHING, paths }
}

const free = { name: 'free', cidr: [], match: path('/free'), until: null, reason: null }
const closed = { ...free, name: 'closed', match: path('/closed'), status: 403 }

t.test('each outcome is counted once', async (t) => {
  const { url, counts, metric } = await startBoth(t, { limits: [ONCE], exempt: [free], deny: [closed] })
  await ask(t, url, get())
  await ask(t, url, get())
  await ask(t, url, get())
  await ask(t, url, get('/free'))
  await ask(t, url, get('/closed'))
  await ask(t, url, get('/%zz'))
  await ask(t, url, 'no HTTP\r\n\r\n')
  t.same(await counts(), { forwarded: 1, limited: 2, exempt: 1, denied: 1, error: 2 })
  t.equal(await metric('sluice_responses_total', { code: '200' }), 2)
  t.equal(await metric('sluice_responses_total', { code: '429' }), 2)
  t.equal(await metric('sluice_responses_total', { code: '403' }), 1)
  t.equal(await metric('sluice_responses_total', { code: '400' }), 2)
  t.equal(await metric('sluice_limit_decisions_total', { limit: 'device', outcome: 'allowed' }), 1)
  t.equal(await metric('sluice_limit_decisions_total', { limit: 'device', outcome: 'limited' }), 2)
  for (const [outcome, count] of Object.entries({ forwarded: 1, limited: 2, exempt: 1, denied: 1, error: 2 })) {
    t.equal(await metric('sluice_request_duration_seconds_count', { outcome }), count, outcome)
  }
  t.equal(await metric('sluice_upstream_duration_seconds_count'), 2)
  t.equal(await metric('sluice_decision_duration_seconds_count', { path: 'local' }), 3)
  t.equal(await metric('sluice_identities_total'), 3)
  t.equal(await metric('sluice_requests_total', { route: 'free' }), 1)
  t.equal(await metric('sluice_requests_total', { route: 'closed' }), 1)
  t.equal(await metric('sluice_requests_total', { route: 'default' }), 5)
})

t.test('missing keys count as denied, failures of the upstream as errors', async (t) => {
  const keyed = limitOf({ name: 'keyed', per: 'principal', onMissing: 'deny' })
  const { url, counts } = await startBoth(t, { limits: [keyed] })
  await ask(t, url, get())
  t.same(await counts(), { denied: 1 })
  const down = await startBoth(t, { upstream: { url: `http://127.0.0.1:${await closedPort()}` } })
  await ask(t, down.url, get())
  await ask(t, down.url, post('/', 'body'))
  t.same(await down.counts(), { error: 2 })
  t.equal(await down.metric('sluice_upstream_duration_seconds_count'), 0)
})

t.test('requests under way are a gauge that comes back to 0', async (t) => {
  const turns: Turn[] = []
  const { url, metric, counts } = await startBoth(t, {}, (turn) => void turns.push(turn))
  const clients = []
  for (let i = 0; i < 6; i++) {
    const client = await openClient(t, url)
    client.write(i % 2 === 0 ? get() : post('/', 'body'))
    clients.push(client)
  }
  await eventually('all are under way', () => turns.length === 6)
  t.equal(await metric('sluice_inflight_requests'), 6)
  for (const client of clients.slice(0, 4)) client.socket.destroy()
  await eventually('four have gone', async () => (await metric('sluice_inflight_requests')) === 2)
  for (const turn of turns) if (!turn.socket.destroyed) turn.send(ok())
  for (const client of clients.slice(4)) await client.answer()
  t.same(await counts(), { forwarded: 2, aborted: 4 })
})

t.test('of the pipelined requests of a client that goes, those are counted that were begun, once', async (t) => {
  const asked = signal<Turn>()
  const { url, counts } = await startBoth(t, {}, (turn) => asked.give(turn))
  const client = await openClient(t, url)
  client.write(get('/1'), get('/2'), get('/3'))
  await asked.come
  client.socket.destroy()
  t.same(await counts(), { aborted: 1 })
})

t.test('many requests of one connection leave no listeners behind', async (t) => {
  const warnings = listenToWarnings(t)
  const { url, counts } = await startBoth(t)
  const client = await openClient(t, url)
  client.write(...Array.from({ length: 30 }, () => get()))
  for (let i = 0; i < 30; i++) t.equal((await client.answer()).status, 200)
  for (const fields of [['Connection: Upgrade', 'Upgrade: h2c'], ['Expect: 100-continue'], []]) {
    for (let i = 0; i < 30; i++) {
      client.write(fields[0]?.startsWith('Expect') ? post('/', 'body', ...fields) : get('/', ...fields))
      let answer = await client.answer()
      if (answer.status === 100) answer = await client.answer()
      t.equal(answer.status, 200)
    }
  }
  t.same(await counts(), { forwarded: 120 })
  t.same(warnings, [])
})

t.test('a status that is not registered counts as its class', async (t) => {
  const { url, metric, counts } = await startBoth(t, {}, ({ send, request }) =>
    send(`HTTP/1.1 ${request.target.slice(1)} Odd\r\nContent-Length: 0\r\n\r\n`),
  )
  for (const status of [299, 298, 404, 599, 799, 999]) await ask(t, url, get(`/${status}`))
  t.same(await counts(), { forwarded: 6 })
  t.equal(await metric('sluice_responses_total', { code: '2xx' }), 2)
  t.equal(await metric('sluice_responses_total', { code: '404' }), 1)
  t.equal(await metric('sluice_responses_total', { code: '5xx' }), 1)
  t.equal(await metric('sluice_responses_total', { code: '7xx' }), 1)
  t.equal(await metric('sluice_responses_total', { code: '9xx' }), 1)
  t.equal(await metric('sluice_responses_total', { code: '299' }), 0)
})

t.test('no client makes series', async (t) => {
  const { url, adminUrl, counts } = await startBoth(t, { limits: [limitOf({ burst: 2 })] })
  async function series(): Promise<string[]> {
    const text = await (await fetch(`${adminUrl}/metrics`)).text()
    return text.split('\n').flatMap((line) => (line.startsWith('sluice_') ? [line.replace(/ \S+$/, '')] : []))
  }
  for (let i = 0; i < 4; i++) await ask(t, url, get())
  await counts()
  const before = await series()
  for (let i = 0; i < 50; i++) {
    await ask(t, url, get(`/canary-${i}?${i}`, `User-Agent: canary-${i}`, `X-Request-Id: canary-${i}`))
  }
  await counts()
  t.same(await series(), before)
})

t.test('log lines', async (t) => {
  t.test('one access line for each request', async (t) => {
    const { url, counts, logged } = await startBoth(t, { limits: [ONCE], exempt: [free], deny: [closed] })
    const trace = 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    await ask(t, url, get('/', trace))
    await ask(t, url, post('/', 'body'))
    await ask(t, url, get('/free'))
    await ask(t, url, get('/closed'))
    await ask(t, url, 'GET / HTTP/1.1\r\n\r\n')
    await ask(t, url, 'no HTTP\r\n\r\n')
    await counts()
    const lines = logged('request')
    t.same(
      lines.map(({ route, method, outcome, status, denied_by }) => [route, method, outcome, status, denied_by]),
      [
        ['default', 'GET', 'forwarded', 200, undefined],
        ['default', 'POST', 'limited', 429, undefined],
        ['free', 'GET', 'exempt', 200, undefined],
        ['closed', 'GET', 'denied', 403, 'closed'],
        ['default', 'GET', 'error', 400, undefined],
        ['default', '', 'error', 400, undefined],
      ],
    )
    t.equal(lines[0]!.trace_id, '4bf92f3577b34da6a3ce929d0e0e4736')
    t.equal(lines[1]!.trace_id, undefined)
    for (const line of lines) {
      t.match(line.request_id, /^[0-9a-f-]{36}$/)
      t.type(line.duration_ms, 'number')
    }
    t.type(lines[0]!.upstream_ms, 'number')
    t.equal(lines[1]!.upstream_ms, undefined)
    t.equal(new Set(lines.map(({ request_id }) => request_id)).size, lines.length)
  })

  t.test('one decision record for each refusal', async (t) => {
    const limits = [
      ONCE,
      limitOf({ name: 'ample', per: 'network' }),
      { ...ONCE, name: 'shade', mode: 'shadow' as const },
    ]
    const { url, counts, logged } = await startBoth(t, { limits })
    await ask(t, url, get())
    t.same(logged('refused'), [])
    const refused = await ask(t, url, get('/', 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'))
    await counts()
    t.equal(logged('refused').length, 1)
    const [record] = logged('refused')
    t.equal(record!.request_id, refused.one('x-request-id'))
    t.equal(record!.trace_id, '4bf92f3577b34da6a3ce929d0e0e4736')
    t.match(record!.key, /^[\w-]{22}$/)
    t.match(record, { verdict: 'limited', binding: 'device', tier: 'overflow', path: 'local', policy: 'test' })
    t.same(record!.limits, [
      { limit: 'device', outcome: 'limited' },
      { limit: 'ample', outcome: 'uncharged' },
      { limit: 'shade', outcome: 'would_limit' },
    ])
    t.ok((record!.wait_ms as number) > 3_590_000 && (record!.wait_ms as number) <= 3_600_000)
    t.equal(logged('request').length, 2)
  })

  t.test('one record for each refusal in shadow', async (t) => {
    const { url, counts, logged } = await startBoth(t, { limits: [ONCE], mode: 'shadow' })
    for (let i = 0; i < 3; i++) await ask(t, url, get())
    await counts()
    t.equal(logged('would limit').length, 2)
    t.match(logged('would limit')[0], { verdict: 'allowed', limits: [{ limit: 'device', outcome: 'would_limit' }] })
    t.equal(logged('refused').length, 0)
  })

  t.test('bear nothing that a client said of itself', async (t) => {
    const canaries = [
      ...['Canary-Agent/1.0', 'canary-token', 'canary-key', 'canary-cookie', 'canary-language', 'canary-query'],
      ...['canary-id', '203.0.113.77', '127.0.0.77', 'canary-path', 'canary-host', 'canary-trace', 'canary-header'],
    ]
    const upstreams = [undefined, ({ socket }: Turn) => void socket.resetAndDestroy(), ({ send }: Turn) => send('no')]
    for (const script of upstreams) {
      const { url, counts, lines } = await startBoth(t, { limits: [limitOf({ burst: 1 })], exempt: [free] }, script)
      const fields = [
        ...['User-Agent: Canary-Agent/1.0', 'Authorization: Bearer canary-token', 'X-Api-Key: canary-key'],
        ...['Cookie: a=canary-cookie', 'Accept-Language: canary-language', 'X-Forwarded-For: 203.0.113.77'],
        ...['X-Request-Id: canary-id', 'Host: canary-host', 'traceparent: canary-trace', 'X-Canary: canary-header'],
      ]
      const bytes = (target: string) => `GET ${target} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`
      const from = { localAddress: '127.0.0.77' }
      for (const target of ['/canary-path?canary-query', '/canary-path', '/free', '/canary-path%zz']) {
        await ask(t, url, bytes(target), from)
      }
      await ask(t, url, `GET / HTTP/1.1\r\ncanary-header\r\n${fields.join('\r\n')}\r\n\r\n`, from)
      await counts()
      t.ok(lines.length >= 5)
      // A private peer is a proxy of the operator's, not a client: the line that asks for it in trusted_proxies names it.
      const ofClients = lines.filter((line) => JSON.parse(line).peer === undefined)
      t.equal(ofClients.length, lines.length - 1)
      for (const canary of canaries) {
        t.notOk(
          ofClients.some((line) => line.toLowerCase().includes(canary.toLowerCase())),
          canary,
        )
      }
    }
  })

  t.test('bear the address where the policy says so', async (t) => {
    const { url, counts, logged } = await startBoth(t, { log: { clientAddress: true } })
    await ask(t, url, get(), { localAddress: '127.0.0.77' })
    await counts()
    t.equal(logged('request')[0]!.client_address, '127.0.0.77')
  })

  t.test('bear what the decision was taken on, each with a number and an instant of its own', async (t) => {
    const { url, counts, logged } = await startBoth(t, {
      limits: [limitOf({ name: 'login', match: path('/login') }), ONCE],
      exempt: [free],
      identity: { trustedProxies: ['127.0.0.0/8'], deviceCookie: { ...DEVICE_COOKIE, enabled: true } },
    })
    const first = await ask(t, url, get('/login', 'User-Agent: a'))
    const cookie = first.one('set-cookie')!.split(';')[0]!
    await ask(t, url, get('/', 'User-Agent: a', `Cookie: ${cookie}`, 'X-Forwarded-For: 192.0.2.7'))
    await ask(t, url, get('/free'))
    await ask(t, url, get('/', 'Authorization: Bearer x', 'X-Forwarded-For: 2001:db8::1'))
    await counts()
    const [plain, marked, exempt, bearing] = logged('request')
    t.match(plain, { decision: 1, limits: ['login', 'device'], network: /^[\w-]{22}$/, policy: 'test' })
    t.equal(plain!.class, plain!.key)
    t.match(marked, { decision: 2, limits: ['device'], device: { id: marked!.key, grade: 0, home: false } })
    t.ok((marked!.clock_us as number) > (plain!.clock_us as number))
    t.equal(exempt!.decision, undefined)
    t.match(bearing, { decision: 3, nameless: undefined, token: /^[\w-]{22}$/ })
    t.ok(logged('request').every((line) => line.path === undefined && line.host === undefined))
  })

  t.test('bear host and path where the policy says so, and never the query', async (t) => {
    const { url, counts, logged, lines } = await startBoth(t, { log: { path: true } })
    await ask(t, url, 'GET /a/../b?canary HTTP/1.1\r\nHost: Api.example:80\r\n\r\n')
    await counts()
    t.match(logged('request')[0], { host: 'api.example', path: '/b' })
    t.notOk(lines.some((line) => line.includes('canary')))
  })

  t.test('cannot be broken by a client', async (t) => {
    const { url, counts, lines, logged } = await startBoth(t, { identity: { trustedProxies: ['127.0.0.0/8'] } })
    await ask(t, url, get('/', 'X-Request-Id: a","level":60', 'traceparent: 00-"\\n-'))
    await counts()
    for (const line of lines) t.equal(line.trim().split('\n').length, 1)
    t.match(logged('request')[0]!.request_id, /^[0-9a-f-]{36}$/)
  })

  t.test('access: refused leaves out what was forwarded, off leaves out all', async (t) => {
    const seen: Record<string, string[]> = {}
    for (const access of ['refused', 'off'] as const) {
      const { url, counts, logged } = await startBoth(t, { limits: [ONCE], exempt: [free], log: { access } })
      await ask(t, url, get('/free'))
      await ask(t, url, get())
      await ask(t, url, get())
      await counts()
      seen[access] = logged().map(({ msg, outcome }) => `${msg} ${outcome ?? ''}`.trim())
    }
    t.same(seen, { refused: ['refused', 'request limited'], off: ['refused'] })
  })

  t.test('sample thins out what was forwarded alone', async (t) => {
    const upstream = await startUpstream(t)
    const chances = [0.1, 0.9, 0.3, 0.2]
    const test = await startTestApp(
      t,
      { upstream: { url: upstream.url }, limits: [{ ...AMPLE, burst: 4 }], log: { sample: 0.25 } },
      { random: () => chances.shift() ?? 0.99, clock: { nowUs: () => 0 } },
    )
    for (let i = 0; i < 6; i++) {
      await ask(t, test.url, get())
      await test.idle()
    }
    t.same(
      test.logged('request').map(({ outcome }) => outcome),
      ['forwarded', 'forwarded', 'limited', 'limited'],
    )
  })

  t.test('a failure of the upstream is told, with its cause', async (t) => {
    const { url, counts, logged } = await startBoth(t, {
      upstream: { url: `http://127.0.0.1:${await closedPort()}` },
    })
    const answer = await ask(t, url, get())
    await counts()
    t.match(logged('upstream failed')[0], { status: 502, error: 'connection_refused', cause: /ECONNREFUSED/ })
    t.equal(logged('upstream failed')[0]!.request_id, answer.one('x-request-id'))
    t.match(logged('request')[0], { outcome: 'error', status: 502 })
  })

  t.test('an aborted request has no status where no answer had begun', async (t) => {
    const asked = signal<Turn>()
    const { url, counts, logged } = await startBoth(t, {}, asked.give)
    const client = await openClient(t, url)
    client.write(get())
    await asked.come
    client.socket.destroy()
    t.same(await counts(), { aborted: 1 })
    t.match(logged('request')[0], { outcome: 'aborted', status: null })
  })
})
