import t from 'tap'
import { startTestApp } from '../fixtures/app.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { isProblem, startThrough } from '../fixtures/through.ts'
import { closedPort } from '../fixtures/upstream.ts'

const PATHS = ['/metrics', '/livez', '/readyz', '/api/policy', '/']

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
