import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { eventually } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post } from '../fixtures/raw-client.ts'
import { startThrough } from '../fixtures/through.ts'
import { ok } from '../fixtures/upstream.ts'

const HIDDEN = get('/hidden')

t.test('chunked DELETE / OPTIONS / GET with a request hidden in the body: exactly one upstream request', async (t) => {
  for (const method of ['DELETE', 'OPTIONS', 'GET', 'POST']) {
    for (const [framing, body] of [
      ['Transfer-Encoding: chunked', `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`],
      [`Content-Length: ${HIDDEN.length}`, HIDDEN],
    ] as const) {
      t.test(`${method}, ${framing}`, async (t) => {
        const { url, upstream, metric, idle } = await startThrough(t)
        const client = await openClient(t, url)
        client.write(`${method} /a HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${body}`, get('/b'))
        t.equal((await client.answer()).status, 200)
        t.equal((await client.answer()).status, 200)
        t.same(
          upstream.seen.map(({ target }) => target),
          ['/a', '/b'],
        )
        t.equal(upstream.seen[0]!.body.toString(), HIDDEN)
        await idle()
        t.equal(await metric('sluice_requests_total'), 2)
      })
    }
  }
})

t.test('pipelined requests, each limited by itself', async (t) => {
  const { url, upstream } = await startThrough(t, { limits: [limitOf({ burst: 3 })] })
  const client = await openClient(t, url)
  client.write(...Array.from({ length: 8 }, (_, i) => get(`/${i}`)))
  const statuses = []
  for (let i = 0; i < 8; i++) statuses.push((await client.answer()).status)
  t.same(statuses, [200, 200, 200, 429, 429, 429, 429, 429])
  t.equal(upstream.seen.length, 3)
})

t.test('what is hidden in a body spends nothing', async (t) => {
  const { url, upstream } = await startThrough(t, { limits: [limitOf({ burst: 2 })] })
  const client = await openClient(t, url)
  client.write(post('/a', HIDDEN), get('/b'), get('/c'))
  for (const status of [200, 200, 429]) t.equal((await client.answer()).status, status)
  t.same(
    upstream.seen.map(({ target }) => target),
    ['/a', '/b'],
  )
})

t.test('early upstream answer while the body is unread: no reuse of that connection', async (t) => {
  const { url, upstream } = await startThrough(t, { server: { requestBuffer: 0 } }, ({ send }) => send(ok('early')))
  const client = await openClient(t, url)
  client.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfirst')
  t.equal((await client.answer()).text, 'early')
  await delay(50)
  t.equal((await ask(t, url, get('/b'))).text, 'early')
  t.not(upstream.seen[0]!.connection, upstream.seen[1]!.connection)
  client.write(HIDDEN.padEnd(995, 'x'), get('/c'))
  t.equal((await client.answer()).text, 'early')
  await eventually('the third is seen', () => upstream.seen.length >= 3)
  t.same(
    upstream.seen.map(({ target }) => target),
    ['/a', '/b', '/c'],
  )
  t.notOk(upstream.seen[0]!.isWhole)
})
