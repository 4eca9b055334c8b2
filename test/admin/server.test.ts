import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { createAdminServer } from '../../src/admin/server.ts'
import { eventually, type PolicyChanges, signal, startTestApp } from '../fixtures/app.ts'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { ok, startUpstream, type Turn } from '../fixtures/upstream.ts'

async function startBoth(t: Test, changes: PolicyChanges = {}, script?: (turn: Turn) => void) {
  const upstream = await startUpstream(t, script)
  return { upstream, ...(await startTestApp(t, { ...changes, upstream: { url: upstream.url } })) }
}

function at(host: string, target: string, method = 'GET'): string {
  return `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
}

t.test('/metrics speaks the text format', async (t) => {
  const { url, adminUrl } = await startBoth(t)
  await ask(t, url, get())
  const answer = await ask(t, adminUrl, at('localhost', '/metrics'))
  t.equal(answer.status, 200)
  t.match(answer.one('content-type'), /^text\/plain; version=0\.0\.4/)
  t.equal(answer.one('cache-control'), 'no-store')
  for (const name of [
    'sluice_requests_total',
    'sluice_inflight_requests',
    'sluice_upgrades_active',
    'sluice_buckets',
    'sluice_limit_burst',
    'sluice_limit_rate_per_second',
    'sluice_store_up',
    'sluice_config_last_reload_successful',
    'sluice_config_last_reload_success_timestamp_seconds',
    'process_cpu_seconds_total',
  ]) {
    t.match(answer.text, new RegExp(`^# HELP ${name} .+\n# TYPE ${name} (counter|gauge)\n${name}`, 'm'), name)
  }
  t.match(answer.text, `sluice_build_info{version="0.0.0-test",node="${process.version}"} 1`)
  t.equal((await ask(t, adminUrl, at('localhost', '/metrics?name=x'))).status, 200)
})

t.test('gauges show what is now', async (t) => {
  const { url, metric } = await startBoth(t)
  t.equal(await metric('sluice_buckets'), 0)
  await ask(t, url, get())
  t.ok((await metric('sluice_buckets')) > 0)
})

t.test('/livez and /readyz', async (t) => {
  const { adminUrl } = await startBoth(t)
  t.equal((await ask(t, adminUrl, at('localhost', '/livez'))).text, 'alive\n')
  t.equal((await ask(t, adminUrl, at('localhost', '/readyz'))).text, 'ready\n')
})

t.test('live, but not ready, while it drains', async (t) => {
  const asked = signal<Turn>()
  const { app, url, adminUrl } = await startBoth(t, {}, asked.give)
  const client = await openClient(t, url)
  client.write(get())
  const turn = await asked.come
  const closing = app.close()
  const ready = await ask(t, adminUrl, at('localhost', '/readyz'))
  t.equal(ready.status, 503)
  t.equal(ready.text, 'draining\n')
  t.equal((await ask(t, adminUrl, at('localhost', '/livez'))).status, 200)
  t.equal((await ask(t, adminUrl, at('localhost', '/metrics'))).status, 200)
  turn.send(ok())
  t.equal((await client.answer()).status, 200)
  await closing
})

t.test('on loopback it answers to its address and to localhost only', async (t) => {
  const { adminUrl } = await startBoth(t)
  const { port } = new URL(adminUrl)
  for (const host of [
    'localhost',
    `localhost:${port}`,
    'LOCALHOST',
    `127.0.0.1:${port}`,
    `[::1]:${port}`,
    '127.0.0.1',
  ]) {
    t.equal((await ask(t, adminUrl, at(host, '/metrics'))).status, 200, host)
  }
  for (const host of [
    'rebound.example',
    `rebound.example:${port}`,
    'localhost.example',
    '127.0.0.1.example',
    'a@localhost',
  ]) {
    for (const target of ['/metrics', '/livez', '/readyz', '/', '/none']) {
      const answer = await ask(t, adminUrl, at(host, target))
      t.equal(answer.status, 421, host)
      t.equal(answer.one('content-type'), 'application/problem+json')
      t.notMatch(answer.text, 'sluice_')
    }
  }
  t.equal((await ask(t, adminUrl, 'GET /metrics HTTP/1.0\r\n\r\n')).status, 421, 'no Host at all')
})

t.test('elsewhere it answers to any name', async (t) => {
  const { adminUrl } = await startBoth(t, { admin: { host: '0.0.0.0', port: 0 } })
  const url = adminUrl.replace('0.0.0.0', '127.0.0.1')
  t.equal((await ask(t, url, at('sluice.internal:8081', '/metrics'))).status, 200)
  t.equal((await ask(t, url, at('sluice.internal:8081', '/readyz'))).status, 200)
})

t.test('what it has not is 404, what it does not do is 405', async (t) => {
  const { adminUrl } = await startBoth(t)
  for (const target of ['/none', '/metrics/', '/METRICS', '//metrics', '/livez/x', '/api/limits', '/../metrics']) {
    const answer = await ask(t, adminUrl, at('localhost', target))
    t.equal(answer.status, 404, target)
    t.equal(answer.json.status, 404)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
    const answer = await ask(t, adminUrl, at('localhost', '/metrics', method))
    t.equal(answer.status, 405, method)
    t.equal(answer.one('allow'), 'GET, HEAD')
  }
})

t.test('HEAD has the fields and no body', async (t) => {
  const { adminUrl } = await startBoth(t)
  const client = await openClient(t, adminUrl)
  for (const [target, status] of [
    ['/metrics', 200],
    ['/livez', 200],
    ['/none', 404],
  ] as const) {
    client.write(at('localhost', target, 'HEAD'))
    t.equal((await client.answer('HEAD')).status, status)
  }
  client.write(at('localhost', '/livez'))
  t.equal((await client.answer()).text, 'alive\n')
  t.equal(client.rest().length, 0)
})

t.test('it cannot be reached through the proxied port', async (t) => {
  const { url, adminUrl, upstream } = await startBoth(t)
  const authority = adminUrl.replace('http://', '')
  const targets = ['/metrics', '/livez', '/readyz', `http://${authority}/metrics`, `//${authority}/metrics`]
  for (const target of targets) {
    const answer = await ask(t, url, at(authority, target))
    t.equal(answer.text, 'ok', target)
    t.equal(answer.status, 200)
  }
  t.equal(upstream.seen.length, targets.length, 'all go to the upstream')
})

t.test('garbage does not end it', async (t) => {
  const { adminUrl } = await startBoth(t)
  for (const bytes of ['no HTTP\r\n\r\n', 'GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n', '\0\0\0\0\r\n\r\n']) {
    const client = await openClient(t, adminUrl)
    client.write(bytes)
    t.ok((await client.answer()).status >= 400)
    client.socket.destroy()
  }
  const leaving = await openClient(t, adminUrl)
  leaving.write(at('localhost', '/metrics'))
  leaving.socket.resetAndDestroy()
  await eventually('it still answers', async () => (await ask(t, adminUrl, at('localhost', '/livez'))).status === 200)
})

t.test('a route that fails is answered 503 and logged, and a client that leaves is not', async (t) => {
  const faults: unknown[] = []
  const fail = () => Promise.reject(new Error('a bug'))
  const server = createAdminServer({
    ...{ isReady: () => true, onScrape() {}, isLoopback: true, token: () => null },
    metrics: { registry: { metrics: async () => '', contentType: 'text/plain; version=0.0.4; charset=utf-8' } },
    routes: [
      { method: 'GET', path: '/fails', access: 'read', answer: fail },
      { method: 'POST', path: '/reads', access: 'read', answer: () => ({ status: 200, type: 'text/plain', body: '' }) },
    ],
    onFault: (cause) => faults.push(cause),
    authFailures: { note: async () => {} },
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const { port } = server.address() as AddressInfo
  const leaving = connect(port, '127.0.0.1')
  const left = new Promise((resolve) => {
    server.once('connection', (socket) => socket.on('error', () => {}).on('close', resolve))
  })
  leaving.write(
    'POST /reads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  )
  await once(server, 'request')
  leaving.destroy()
  await left
  t.equal((await ask(t, `http://127.0.0.1:${port}`, at('localhost', '/fails'))).status, 503)
  t.match(faults, [{ message: 'a bug' }])
  t.equal(faults.length, 1)
})

t.test(
  'wrong tokens are counted, logged without the token, and slowed, while the right one works at once',
  async (t) => {
    const { adminUrl, metric, logged, lines } = await startBoth(t, { adminToken: 'the-right-token-of-this-test' })
    const reset = (token: string) =>
      ask(
        t,
        adminUrl,
        `POST /api/reset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
      )
    const start = performance.now()
    let isRightAnswered = false
    const wrong = Array.from({ length: 10 }, async (_, n) => {
      const { status } = await reset(`guess-${n}`)
      t.ok(isRightAnswered, 'the right token does not wait for the wrong ones')
      return status
    })
    t.equal((await reset('the-right-token-of-this-test')).status, 400, 'it may ask; what it asks for is missing')
    isRightAnswered = true
    t.same(new Set(await Promise.all(wrong)), new Set([401]))
    t.ok(performance.now() - start >= 990)
    t.equal(await metric('sluice_admin_auth_failures_total'), 10)
    const [line, ...more] = logged('wrong admin token: not the value of admin_token')
    t.match(line, { level: 40, peer: '127.0.0.1', path: '/api/reset' })
    t.same(more, [], 'a flood is one line a second')
    t.notMatch(lines.join(''), 'guess-')
  },
)

t.test('no address takes all connections of the admin port', async (t) => {
  const { adminUrl } = await startBoth(t)
  const { port } = new URL(adminUrl)
  const closed: Promise<unknown>[] = []
  for (let n = 0; n < 100; n++) {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {})
    closed.push(once(socket, 'close'))
    t.teardown(() => socket.destroy())
  }
  let count = 0
  for (const one of closed) void one.then(() => count++)
  await eventually('those beyond its share are closed', () => count === 36)
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.2' })
  t.teardown(() => socket.destroy())
  socket.write(at('localhost', '/livez'))
  const [response] = await once(socket, 'data')
  t.match(String(response), 'HTTP/1.1 200')
})
