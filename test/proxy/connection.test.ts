import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { eventually, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { get, openClient } from '../fixtures/raw-client.ts'
import { ok, startUpstream, type Turn } from '../fixtures/upstream.ts'

/** A proxy before an upstream that leaves every request to the test. */
/** A body goes on as it comes, however short. */
const AT_ONCE: PolicyChanges = { server: { requestBuffer: 0 } }

async function startHeld(t: Test, changes: PolicyChanges = {}) {
  const turns: Turn[] = []
  const upstream = await startUpstream(t, (turn) => void turns.push(turn))
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url, ...changes.upstream } })
  return { upstream, turns, ...test }
}

t.test('what cannot be parsed is answered behind the answers that are under way', async (t) => {
  for (const [name, garbage] of [
    ['a request line that is none', 'NONSENSE\r\n\r\n'],
    ['a field that is none', 'GET /b HTTP/1.1\r\nHost : a\r\n\r\n'],
  ] as const) {
    t.test(`${name}, before the first answer has begun`, async (t) => {
      const { url, turns, metric, idle } = await startHeld(t)
      const client = await openClient(t, url)
      client.write(get('/a'), garbage, get('/after'))
      await eventually('it is under way', () => turns.length === 1)
      turns[0]!.send(ok('the whole answer'))
      t.equal((await client.answer()).text, 'the whole answer')
      const refusal = await client.answer()
      t.equal(refusal.status, 400)
      t.equal(refusal.one('connection'), 'close')
      t.equal((await client.closed()).error, null)
      t.equal(client.rest().length, 0)
      await idle()
      t.equal(turns.length, 1)
      t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 1)
      t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 1)
    })

    t.test(`${name}, in the middle of the answer`, async (t) => {
      const { url, turns } = await startHeld(t)
      const client = await openClient(t, url)
      client.write(get('/a'))
      await eventually('it is under way', () => turns.length === 1)
      turns[0]!.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst')
      await client.until('first')
      client.write(garbage)
      client.write(garbage)
      await delay(100)
      turns[0]!.send('after')
      const answer = await client.answer()
      t.equal(answer.text, 'firstafter')
      t.ok(answer.isWhole)
      t.equal((await client.answer()).status, 400)
      await client.closed()
    })
  }

  t.test('several of them, in order', async (t) => {
    const { url, turns } = await startHeld(t)
    const client = await openClient(t, url)
    client.write(get('/0'), get('/1'), get('/2'), 'NONSENSE\r\n\r\n')
    for (const [i, text] of ['/0', '/1', '/2'].entries()) {
      await eventually('it is under way', () => turns.length === i + 1)
      turns[i]!.send(ok(turns[i]!.request.target))
      t.equal((await client.answer()).text, text)
    }
    t.equal((await client.answer()).status, 400)
    await client.closed()
  })

  t.test('and nothing is added where the answer before ends the connection', async (t) => {
    const { url, turns } = await startHeld(t)
    const client = await openClient(t, url)
    client.write(get('/a', 'Connection: close'), 'NONSENSE\r\n\r\n')
    await eventually('it is under way', () => turns.length === 1)
    turns[0]!.send(ok('last'))
    t.equal((await client.answer()).text, 'last')
    t.equal((await client.closed()).error, null)
    t.equal(client.rest().length, 0)
  })

  t.test('a header that does not end is refused in its turn', async (t) => {
    const { url, turns } = await startHeld(t, { server: { headerTimeout: 200 } })
    const client = await openClient(t, url)
    client.write(get('/a'), 'GET /b HTTP/1.1\r\nX-Slow: ')
    await delay(800)
    turns[0]!.send(ok('slow'))
    t.equal((await client.answer()).text, 'slow')
    t.equal((await client.answer()).status, 408)
    await client.closed()
  })

  t.test('a client that leaves takes them along', async (t) => {
    const { url, turns, idle, metric } = await startHeld(t)
    const client = await openClient(t, url)
    client.write(get('/a'), 'NONSENSE\r\n\r\n')
    await eventually('it is under way', () => turns.length === 1)
    client.socket.destroy()
    await idle()
    await eventually('it is cancelled', () => turns[0]!.socket.destroyed)
    t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
  })
})

t.test('a body that turns out to be malformed behind an answer that is under way', async (t) => {
  const head = 'POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
  for (const version of ['1.1', '1.0']) {
    t.test(`is refused in its turn (HTTP/${version} before it)`, async (t) => {
      const { url, turns, idle, metric } = await startHeld(t)
      const client = await openClient(t, url)
      client.write(get('/a', 'Connection: keep-alive').replace('1.1', version), head, '3\r\nabc\r\n')
      await eventually('the first is under way', () => turns.length === 1)
      client.write('zz\r\n')
      await delay(100)
      turns[0]!.send(ok('whole'))
      t.equal((await client.answer()).text, 'whole')
      t.equal((await client.answer()).status, 400)
      await client.closed()
      await idle()
      t.equal(turns.length, 1, 'nothing of it has gone upstream')
      t.equal(await metric('sluice_requests_total'), 2)
    })
  }

  t.test('is not taken back where it was answered early, but ends the connection', async (t) => {
    const { url, turns } = await startHeld(t, AT_ONCE)
    const client = await openClient(t, url)
    client.write(get('/a'), head, '3\r\nabc\r\n')
    await eventually('the first is under way', () => turns.length === 1)
    turns[0]!.send(ok('whole'))
    t.equal((await client.answer()).text, 'whole')
    await eventually('the second is under way', () => turns.length === 2)
    turns[1]!.send(ok('early'))
    t.equal((await client.answer()).text, 'early')
    client.write('zz\r\n', get('/after'))
    await client.closed()
    t.equal(client.rest().length, 0)
    t.equal(turns.length, 2)
  })

  t.test('cuts its own answer where that has begun, and none before it', async (t) => {
    const { url, turns } = await startHeld(t, AT_ONCE)
    const client = await openClient(t, url)
    client.write(get('/a'), head, '3\r\nabc\r\n')
    await eventually('the first is under way', () => turns.length === 1)
    turns[0]!.send(ok('whole'))
    t.equal((await client.answer()).text, 'whole')
    await eventually('the second is under way', () => turns.length === 2)
    turns[1]!.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    await client.until('half')
    client.write('zz\r\n')
    await client.closed()
    t.notMatch(client.rest().toString('latin1'), /HTTP\/1\.1 [45]/)
  })
})

t.test('pipelined requests are served one after the other, and few are read ahead', async (t) => {
  t.test('one at a time, all of them in order', async (t) => {
    const { url, turns, metric } = await startHeld(t)
    const client = await openClient(t, url)
    for (let i = 0; i < 200; i++) {
      client.write(get(`/${i}`, `X-Padding: ${'x'.repeat(4000)}`))
    }
    for (let i = 0; i < 200; i++) {
      await eventually('it is under way', () => turns.length === i + 1)
      if (i % 50 === 0) t.equal(await metric('sluice_inflight_requests'), 1)
      turns[i]!.send(ok(turns[i]!.request.target))
      t.equal((await client.answer()).text, `/${i}`)
    }
  })

  t.test('the connection is not read while more than a few wait', async (t) => {
    const { url, turns } = await startHeld(t)
    const client = await openClient(t, url)
    const request = get('/', `X-Padding: ${'x'.repeat(8000)}`)
    for (let i = 0; i < 4000; i++) client.write(request)
    await eventually('the first is under way', () => turns.length === 1)
    await delay(300)
    t.ok(client.socket.bytesWritten - client.socket.writableLength < 16_000_000, 'the kernel holds what it can')
    t.ok(client.socket.writableLength > 10_000_000, 'and the client the rest')
  })

  t.test('a client is cut off that has far more of them waiting at once', async (t) => {
    const { url, turns, idle, metric } = await startHeld(t)
    const client = await openClient(t, url)
    client.write(get().repeat(1000))
    await client.closed()
    await idle()
    t.ok(turns.length <= 1)
    t.ok((await metric('sluice_requests_total')) <= 1)
  })

  t.test('and one that goes on behind a request that ends its connection', async (t) => {
    const { url } = await startHeld(t)
    const client = await openClient(t, url)
    client.write('GET /a HTTP/1.1\r\n\r\n', get().repeat(1000))
    await client.closed()
    t.ok(client.rest().length < 1000)
  })
})

t.test('a connection on which nothing ever came is closed without a word, and not counted', async (t) => {
  const { url, metric, logged } = await startHeld(t, { server: { headerTimeout: 200 } })
  const client = await openClient(t, url)
  await client.closed()
  t.equal(client.rest().length, 0)
  t.equal(await metric('sluice_requests_total'), 0)
  t.equal(logged('request').length, 0)
})

t.test('a client that does not read its answer is cut off after idle_timeout', async (t) => {
  t.test('at the end of an answer that the upstream has long given', async (t) => {
    const { url, turns, idle } = await startHeld(t, { upstream: { idleTimeout: 400 } })
    const client = await openClient(t, url)
    client.socket.pause()
    client.write(get('/', 'Connection: close'))
    await eventually('it is under way', () => turns.length === 1)
    turns[0]!.send(ok('x'.repeat(6_000_000)))
    await idle()
    t.pass('it is over')
  })

  t.test('but one that reads slowly, or whose upstream pauses, is served', async (t) => {
    const { url, turns } = await startHeld(t, { upstream: { idleTimeout: 1000 } })
    const client = await openClient(t, url)
    client.write(get())
    await eventually('it is under way', () => turns.length === 1)
    const body = 'x'.repeat(12_000_000)
    turns[0]!.send(ok(body))
    const reading = client.answer()
    for (let i = 0; i < 8; i++) {
      client.socket.pause()
      await delay(300)
      client.socket.resume()
      await delay(5)
    }
    t.equal((await reading).body.length, body.length)
  })
})

t.test('a body is invited in its turn, never within the answer before it', async (t) => {
  const { url, turns } = await startHeld(t)
  const client = await openClient(t, url)
  const expecting = 'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n'
  client.write(get('/a'), expecting)
  await eventually('both are under way', () => turns.length > 0)
  turns[0]!.send(ok('first'))
  t.equal((await client.answer()).text, 'first')
  t.equal((await client.answer()).status, 100)
  client.write('body')
  await eventually('both are under way', () => turns.length === 2)
  turns[1]!.send(ok('second'))
  t.equal((await client.answer()).text, 'second')

  t.test('also where the client has sent it at once', async (t) => {
    const { url, turns } = await startHeld(t)
    const client = await openClient(t, url)
    client.write(get('/a'), expecting, 'body')
    await eventually('the first is under way', () => turns.length === 1)
    turns[0]!.send(ok('first'))
    t.equal((await client.answer()).text, 'first')
    t.equal((await client.answer()).status, 100)
    await eventually('the second is under way', () => turns.length === 2)
    turns[1]!.send(ok('second'))
    t.equal((await client.answer()).text, 'second')
    t.equal(client.rest().length, 0)
  })
})
