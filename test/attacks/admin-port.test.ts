import t, { type Test } from 'tap'
import { startTestApp } from '../fixtures/app.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { isProblem, ONCE, startThrough } from '../fixtures/through.ts'
import { closedPort } from '../fixtures/upstream.ts'

const PATHS = ['/metrics', '/livez', '/readyz', '/api/policy', '/api/stats', '/page.js', '/']

t.test('the admin port is not reachable through the proxied one', async (t) => {
  const { url, adminUrl, upstream } = await startThrough(t)
  const { host } = new URL(adminUrl)
  const requests = PATHS.flatMap((path) => [
    get(path),
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET ${adminUrl}${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET http://localhost:${new URL(adminUrl).port}${path} HTTP/1.1\r\nHost: a\r\n\r\n`,
    get(path, `X-Forwarded-Host: ${host}`, `Forwarded: host="${host}"`, `X-Original-URL: ${adminUrl}${path}`),
    get(`//${host}${path}`),
  ])
  for (const request of requests) {
    const answer = await ask(t, url, request)
    t.equal(answer.status, 200)
    t.equal(answer.text, 'ok', 'the upstream answers, whatever Host or target say')
  }
  t.equal(upstream.seen.length, requests.length)
  t.equal((await ask(t, url, `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 405)
})

t.test('nor is the proxied port, by an upstream that is itself: the loop ends', async (t) => {
  const port = await closedPort()
  const { url, metric, idle } = await startTestApp(t, {
    listen: { host: '127.0.0.1', port },
    upstream: { url: `http://127.0.0.1:${port}` },
  })
  isProblem(t, await ask(t, url, get('/metrics')), 508)
  await idle()
  t.equal(await metric('sluice_requests_total'), 2)
})

const TOKEN = 'the-admin-token'

function ban(host: string, ...fields: readonly string[]): string {
  const body = JSON.stringify({ key: 'A'.repeat(22), for: '1h', reason: 'forged' })
  const head = [`POST /api/ban HTTP/1.1`, `Host: ${host}`, `Content-Length: ${body.length}`, ...fields]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

async function orders(t: Test, adminUrl: string): Promise<number> {
  return (await ask(t, adminUrl, 'GET /api/orders HTTP/1.1\r\nHost: localhost\r\n\r\n')).json.length
}

t.test("another site's page changes nothing, even with the token", async (t) => {
  const { adminUrl } = await startTestApp(t, { adminToken: TOKEN })
  const { host } = new URL(adminUrl)
  const bearer = `Authorization: Bearer ${TOKEN}`
  const json = 'Content-Type: application/json'
  for (const [fields, status] of [
    [[bearer, json, 'Origin: http://evil.example'], 403],
    [[bearer, json, 'Origin: null'], 403],
    [[bearer, json, `Origin: http://${host}.evil.example`], 403],
    [[bearer, json, 'Sec-Fetch-Site: cross-site'], 403],
    [[bearer, json, 'Sec-Fetch-Site: same-site', `Origin: http://${host}`], 403],
    [[bearer, 'Content-Type: application/x-www-form-urlencoded', `Origin: http://${host}`], 415],
    [[bearer, 'Content-Type: text/plain', `Origin: http://${host}`], 415],
    [[json, `Origin: http://${host}`, `Authorization: Basic ${btoa(`a:${TOKEN}`)}`], 401],
    [[json, `Origin: http://${host}`], 401],
  ] as const) {
    t.equal((await ask(t, adminUrl, ban(host, ...fields))).status, status, fields.join(', '))
  }
  t.equal(await orders(t, adminUrl), 0)
  const own = ban(host, bearer, json, `Origin: http://${host}`, 'Sec-Fetch-Site: same-origin')
  t.equal((await ask(t, adminUrl, own)).status, 200, 'its own page does')
  t.equal((await ask(t, adminUrl, ban(host, bearer, json))).status, 200, 'and so does curl')
  t.equal(await orders(t, adminUrl), 1)
})

t.test('a name rebound to the loopback address reads nothing and changes nothing', async (t) => {
  const { adminUrl } = await startTestApp(t, { adminToken: TOKEN })
  const origin = ['Origin: http://rebound.example', 'Sec-Fetch-Site: same-origin']
  for (const path of ['/', '/page.js', '/api/stats', '/api/policy', '/api/orders']) {
    const answer = await ask(
      t,
      adminUrl,
      `GET ${path} HTTP/1.1\r\nHost: rebound.example\r\n${origin.join('\r\n')}\r\n\r\n`,
    )
    t.equal(answer.status, 421, path)
  }
  const fields = ['Content-Type: application/json', `Authorization: Bearer ${TOKEN}`, ...origin]
  t.equal((await ask(t, adminUrl, ban('rebound.example', ...fields))).status, 421)
  t.equal(await orders(t, adminUrl), 0)
})

t.test('what a client sends is nowhere in what the page asks for', async (t) => {
  const { url, adminUrl } = await startThrough(t, { limits: [ONCE] })
  const script = '<script>alert(1)</script>'
  for (let n = 0; n < 3; n++) {
    const fields = ['User-Agent', 'Accept-Language', 'Referer', 'X-Request-Id'].map((name) => `${name}: ${script}`)
    await ask(t, url, get(`/${encodeURIComponent(script)}?q=alert(1)`, ...fields, `Authorization: Bearer ${script}`))
  }
  for (const path of ['/api/stats', '/api/refused', '/api/orders', '/api/audit', '/api/policy', '/']) {
    const answer = await ask(t, adminUrl, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    t.equal(answer.status, 200)
    t.notMatch(answer.text, 'alert(1)')
    t.equal(answer.one('x-content-type-options'), 'nosniff')
  }
  const page = await ask(t, adminUrl, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const rule = page.one('content-security-policy')!
  t.match(rule, "default-src 'none'; script-src 'self'; style-src 'self'")
  t.notMatch(rule, 'unsafe')
  t.notMatch(page.text, /<script(?! src)|<style|\son\w+=|\sstyle=|https?:/)
})
