import t from 'tap'
import { signal } from '../../fixtures/app.ts'
import { ask, get, openClient, post } from '../../fixtures/raw-client.ts'
import { startThrough } from '../../fixtures/through.ts'
import { ok } from '../../fixtures/upstream.ts'

const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'

t.test('an informational response goes on with its end-to-end fields, as they were sent', async (t) => {
  const lines = ['Link: </a,b>; rel=preload; as=style, </c>', 'link:   not a link', 'Content-Security-Policy: x']
  const { url } = await startThrough(t, {}, ({ send }) =>
    send(`HTTP/1.1 103 whatever\r\n${lines.join('\r\n')}\r\n\r\n`, 'HTTP/1.1 102 Processing\r\n\r\n', ok()),
  )
  const client = await openClient(t, url)
  client.write(get())
  const hints = await client.answer()
  t.equal(hints.head, `HTTP/1.1 103 Early Hints\r\n${lines[0]}\r\nlink: not a link\r\n${lines[2]}`)
  t.equal((await client.answer()).head, 'HTTP/1.1 102 Processing')
  t.equal((await client.answer()).text, 'ok')
})

t.test('it brings no framing, no cookie, nothing of this hop, and nothing that only the proxy says', async (t) => {
  const left = [
    'Set-Cookie: a=1',
    'Connection: X-Named, keep-alive',
    'X-Named: 1',
    'Keep-Alive: timeout=1',
    'Upgrade: h2c',
    'Trailer: X',
    'Proxy-Authenticate: Basic',
    'RateLimit: "a";r=1',
    'RateLimit-Policy: "a";q=1',
    'X-RateLimit-Limit: 1',
    'Retry-After: 1',
    'X-Request-Id: theirs',
    'Via: 1.1 a',
    'Proxy-Status: a',
  ]
  const { url } = await startThrough(t, {}, ({ send }) =>
    send(`HTTP/1.1 103 Early Hints\r\n${left.join('\r\n')}\r\nLink: </a>\r\n\r\n`, ok()),
  )
  const client = await openClient(t, url)
  client.write(get())
  t.equal((await client.answer()).head, 'HTTP/1.1 103 Early Hints\r\nLink: </a>')
  t.equal((await client.answer()).text, 'ok')
})

t.test('100 is not passed on: the decision has invited the body', async (t) => {
  const { url } = await startThrough(t, {}, ({ send }) => send('HTTP/1.1 100 Continue\r\n\r\n', ok()))
  t.equal((await ask(t, url, get())).status, 200)
})

t.test('a client of HTTP/1.0 gets none', async (t) => {
  const { url } = await startThrough(t, {}, ({ send }) => send(HINTS, ok()))
  t.equal((await ask(t, url, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')).status, 200)
})

t.test('of a pipelined request it comes behind the response before it', async (t) => {
  let finish = () => {}
  const isAsked = signal()
  const { url, upstream } = await startThrough(t, {}, ({ request, send }) => {
    if (request.target !== '/slow') return send(HINTS, ok(request.target))
    send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
    finish = () => send('world')
    isAsked.give()
  })
  const client = await openClient(t, url)
  client.write(get('/slow'), get('/behind'))
  await isAsked.come
  finish()
  t.equal((await client.answer()).text, 'helloworld')
  t.equal((await client.answer()).status, 103)
  t.equal((await client.answer()).text, '/behind')
  client.write(post('/after', 'x'))
  t.equal((await client.answer()).status, 103)
  t.equal((await client.answer()).text, '/after')
  t.equal(upstream.seen.length, 3)
})

t.test('hostile links cost no more than their length', async (t) => {
  const hostile = [
    `</>${';=='.repeat(20_000)}`,
    '<'.repeat(60_000),
    `<a>${'"'.repeat(60_001)}`,
    `${'<>,'.repeat(20_000)}`,
  ]
  for (const link of hostile) {
    const { url } = await startThrough(t, {}, ({ send }) =>
      send(`HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\n\r\n`, ok()),
    )
    const start = performance.now()
    const client = await openClient(t, url)
    client.write(get())
    t.equal((await client.answer()).one('link'), link)
    t.equal((await client.answer()).status, 200)
    t.ok(performance.now() - start < 1000, link.slice(0, 10))
  }
})
