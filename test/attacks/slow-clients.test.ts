import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { eventually } from '../fixtures/app.ts'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { isProblem, startThrough } from '../fixtures/through.ts'
import { ok, type Turn } from '../fixtures/upstream.ts'

t.test('slow headers: 408, however they trickle in', async (t) => {
  const { url, upstream, metric, idle } = await startThrough(t, { server: { headerTimeout: 400 } })
  const client = await openClient(t, url)
  client.write('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')
  const trickle = setInterval(() => client.write('x'), 50)
  const answer = await client.answer()
  clearInterval(trickle)
  isProblem(t, answer, 408)
  t.equal(answer.one('connection'), 'close')
  await client.closed()
  await idle()
  t.equal(upstream.seen.length, 0)
  t.equal(await metric('sluice_requests_total'), 1)
  t.equal(await metric('sluice_responses_total', { code: '408' }), 1)
})

t.test('slow headers behind an answer that is under way: 408 after it, and nothing of what comes later', async (t) => {
  const turns: Turn[] = []
  const server = { headerTimeout: 200 }
  const { url, upstream, metric, idle } = await startThrough(t, { server }, (turn) => void turns.push(turn))
  const client = await openClient(t, url)
  client.write(get('/first'), 'GET /second HTTP/1.1\r\nHost: a\r\n')
  await eventually('the first is under way', () => turns.length === 1)
  await delay(900)
  // Whole after all, but too late; and one more.
  client.write('\r\n', get('/third'))
  await delay(50)
  turns[0]!.send(ok())
  t.equal((await client.answer()).status, 200)
  isProblem(t, await client.answer(), 408)
  await client.closed()
  await idle()
  t.equal(client.rest().length, 0)
  t.same(
    upstream.seen.map(({ target }) => target),
    ['/first'],
  )
  t.equal(await metric('sluice_requests_total'), 2)
})

t.test('slow body: 408, counted once, and cancelled upstream', async (t) => {
  const { url, upstream, metric, idle } = await startThrough(t, { server: { headerTimeout: 200, minRateGrace: 300 } })
  const client = await openClient(t, url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf')
  const trickle = setInterval(() => client.write('x'), 50)
  isProblem(t, await client.answer(), 408)
  clearInterval(trickle)
  await client.closed()
  await idle()
  t.equal(await metric('sluice_requests_total'), 1)
  await eventually('it is cancelled', () => upstream.sockets.every((socket) => socket.destroyed))
})

t.test('a slow body that comes steadily is never cut off, nor one that pauses and was fast before', async (t) => {
  const server = { minRate: 500, minRateGrace: 300 }
  const { url } = await startThrough(t, { server }, async ({ body, send }) => send(ok(`${(await body()).length}`)))
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n'
  const steady = await openClient(t, url)
  steady.write(head)
  const pausing = await openClient(t, url)
  pausing.write(head, 'x'.repeat(3000))
  for (let i = 0; i < 20; i++) {
    await delay(100)
    steady.write('x'.repeat(200))
  }
  pausing.write('x'.repeat(1000))
  for (const client of [steady, pausing]) t.equal((await client.answer()).text, '4000')
})

t.test('a slow reader is cut off after min_rate_grace, one that reads an event stream is not', async (t) => {
  const server = { minRate: 100_000_000, minRateGrace: 300 }
  const upstream = { responseBuffer: 0 }
  const { url, metric } = await startThrough(t, { server, upstream }, ({ request, send }) =>
    send(
      `HTTP/1.1 200 OK\r\nContent-Type: ${request.target === '/events' ? 'text/event-stream' : 'text/plain'}\r\n\r\n`,
      Buffer.alloc(20_000_000, 'x'),
    ),
  )
  const aborted = () => metric('sluice_requests_total', { outcome: 'aborted' })
  const [stream, slow] = [await openClient(t, url), await openClient(t, url)]
  for (const client of [stream, slow]) client.socket.pause()
  stream.write(get('/events'))
  slow.write(get('/file'))
  await eventually('the slow reader is cut off', async () => (await aborted()) === 1)
  await delay(1000)
  t.equal(await aborted(), 1)
})

t.test('slow reading: the answer is held back, then cut off after idle_timeout', async (t) => {
  const turns: Turn[] = []
  const test = await startThrough(t, { upstream: { idleTimeout: 400 } }, (turn) => void turns.push(turn))
  const { url, metric, idle } = test
  const client = await openClient(t, url)
  client.socket.pause()
  client.write(get())
  await eventually('it is under way', () => turns.length === 1)
  turns[0]!.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n', Buffer.alloc(20_000_000))
  await eventually('it is cancelled', () => turns[0]!.socket.destroyed, 10_000)
  await idle()
  t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
})

t.test('connection flood: max_connections, beyond which one is closed at once; those within are served', async (t) => {
  const { url } = await startThrough(t, { server: { maxConnections: 5 } })
  const kept = await Promise.all(Array.from({ length: 5 }, () => openClient(t, url)))
  for (const client of kept) {
    client.write(get())
    t.equal((await client.answer()).status, 200)
  }
  for (let i = 0; i < 20; i++) {
    const client = await openClient(t, url)
    client.write(get())
    await client.closed()
    t.equal(client.rest().length, 0)
  }
  kept[0]!.write(get())
  t.equal((await kept[0]!.answer()).status, 200)
  for (const client of kept) client.socket.destroy()
  await eventually('there is room again', async () => {
    return ask(t, url, get())
      .then(({ status }) => status === 200)
      .catch(() => false)
  })
})

t.test('a flood of connections that say nothing ends with header_timeout', async (t) => {
  const { url, metric } = await startThrough(t, { server: { headerTimeout: 200, maxConnections: 100 } })
  const silent = await Promise.all(Array.from({ length: 100 }, () => openClient(t, url)))
  await Promise.all(silent.map((client) => client.closed()))
  t.equal((await ask(t, url, get())).status, 200)
  await eventually('it is counted', async () => (await metric('sluice_requests_total')) === 1)
})
