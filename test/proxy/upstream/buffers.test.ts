import { connect } from 'node:net'
import t from 'tap'
import { eventually } from '../../fixtures/app.ts'
import { ask, get, openClient, post } from '../../fixtures/raw-client.ts'
import { isProblem, startThrough } from '../../fixtures/through.ts'
import { ok, type Turn } from '../../fixtures/upstream.ts'

const echo = async ({ send, body }: Turn) => send(ok((await body()).toString()))

t.test('a body up to request_buffer reaches the upstream when it is whole', async (t) => {
  for (const [name, head, parts] of [
    ['with a length', 'Content-Length: 10', ['hello', 'world']],
    ['chunked', 'Transfer-Encoding: chunked', ['5\r\nhello\r\n', '5\r\nworld\r\n0\r\n\r\n']],
  ] as const) {
    const { url, upstream } = await startThrough(t, {}, echo)
    const client = await openClient(t, url)
    client.write(`POST / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n`, parts[0])
    t.equal((await ask(t, url, get('/meanwhile'))).status, 200)
    t.same(
      upstream.seen.map(({ target }) => target),
      ['/meanwhile'],
      name,
    )
    client.write(parts[1])
    t.equal((await client.answer()).text, 'helloworld')
    t.equal(upstream.seen[1]!.one('content-length'), name === 'chunked' ? undefined : '10')
  }
})

t.test('a longer one goes on as it comes', async (t) => {
  const { url, upstream } = await startThrough(t, { server: { requestBuffer: 8 } }, echo)
  const sized = await openClient(t, url)
  sized.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello')
  await eventually('its beginning has arrived', () => upstream.seen.length === 1)
  sized.write('world')
  t.equal((await sized.answer()).text, 'helloworld')
  const chunked = await openClient(t, url)
  chunked.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
  t.equal((await ask(t, url, get())).status, 200)
  t.equal(upstream.seen.length, 2)
  chunked.write('5\r\nworld\r\n')
  await eventually('its beginning has arrived', () => upstream.seen[2]?.body.toString() === 'helloworld')
  chunked.write('1\r\n!\r\n0\r\nX-T: 1\r\n\r\n')
  t.equal((await chunked.answer()).text, 'helloworld!')
  t.same(upstream.seen[2]!.trailers, [['X-T', '1']])
})

t.test('a client that leaves before its body is whole has cost the upstream nothing', async (t) => {
  const { url, upstream, metric, idle } = await startThrough(t, {}, echo)
  const client = await openClient(t, url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello')
  await eventually('it is in flight', async () => (await metric('sluice_inflight_requests')) === 1)
  client.socket.destroy()
  await idle()
  t.equal(upstream.seen.length, 0)
  t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
})

t.test('a body that is malformed behind its beginning is 400, and nothing reaches the upstream', async (t) => {
  const { url, upstream, idle } = await startThrough(t, {}, echo)
  const client = await openClient(t, url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nno chunk\r\n')
  isProblem(t, await client.answer(), 400)
  await client.closed()
  await idle()
  t.equal(upstream.seen.length, 0)
})

t.test(
  'a response is taken from the upstream while its client does not read: the connection serves the next',
  async (t) => {
    const size = 200_000
    const { url, upstream } = await startThrough(t, { upstream: { maxConnections: 1 } }, ({ send, request }) =>
      send(ok('x'.repeat(request.target === '/large' ? size : 2))),
    )
    const slow = await openClient(t, url)
    slow.socket.pause()
    // Ten of them: more than what the sockets themselves hold of one.
    for (let i = 0; i < 10; i++) slow.write(get('/large'))
    t.equal((await ask(t, url, get('/next'))).status, 200)
    slow.socket.resume()
    for (let i = 0; i < 10; i++) t.equal((await slow.answer()).text.length, size)
    t.equal(upstream.seen.length, 11)
  },
)

t.test('of a response beyond response_buffer the rest waits in the upstream', async (t) => {
  const turns: Turn[] = []
  const { url } = await startThrough(t, { upstream: { responseBuffer: 100_000 } }, (turn) => void turns.push(turn))
  const { hostname, port } = new URL(url)
  const client = connect(Number(port), hostname).pause()
  t.teardown(() => client.destroy())
  client.write(get())
  await eventually('the request is there', () => turns.length === 1)
  const total = 40_000_000
  turns[0]!.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`, Buffer.alloc(total, 'x'))
  const { socket } = turns[0]!
  let before = -1
  await eventually('nothing more is taken', async () => {
    const isStill = socket.writableLength === before
    before = socket.writableLength
    return isStill
  })
  t.ok(socket.writableLength > total / 2, `${socket.writableLength} bytes wait in the upstream`)
  client.resume()
  await eventually('all of it has come', () => client.bytesRead > total, 30_000)
})

t.test('a response whose header is too large, or has too many lines, is 502, and the log names the key', async (t) => {
  const changes = { upstream: { maxHeaderBytes: 2000, maxHeaders: 5 } }
  for (const header of [[`X: ${'x'.repeat(2000)}`], ['A: 1', 'B: 2', 'C: 3', 'D: 4', 'E: 5']]) {
    const { url, logged } = await startThrough(t, changes, ({ send }) => send(ok('ok', ...header)))
    isProblem(t, await ask(t, url, get()), 502)
    t.match(logged('upstream failed')[0], { cause: 'upstream.max_header_bytes, upstream.max_headers' })
  }
  const { url } = await startThrough(t, { upstream: { maxHeaderBytes: 200_000 } }, ({ send }) =>
    send(ok('ok', `X: ${'x'.repeat(100_000)}`)),
  )
  t.equal((await ask(t, url, get())).one('x')?.length, 100_000)
})

t.test('a connection is not used again after a body on GET, HEAD, OPTIONS or DELETE', async (t) => {
  const { url, upstream } = await startThrough(t, {}, async ({ send, body, request }) => {
    await body()
    send(request.method === 'HEAD' ? ok('').trimEnd().concat('\r\n\r\n') : ok())
  })
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE']) {
    const seen = upstream.sockets.length
    await ask(t, url, post('/', 'body').replace('POST', method))
    await ask(t, url, get('/next'))
    t.equal(upstream.sockets.length, seen + 2 - (method === 'GET' ? 0 : 1), method)
  }
})

t.test('Trailer and 102 of the upstream pass', async (t) => {
  const { url } = await startThrough(t, {}, ({ send }) =>
    send(
      'HTTP/1.1 102 Processing\r\nX-Step: 1\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n',
    ),
  )
  const client = await openClient(t, url)
  client.write(get())
  t.match((await client.answer()).head, /^HTTP\/1\.1 102 Processing\r\nX-Step: 1$/)
  const answer = await client.answer()
  t.equal(answer.one('trailer'), 'X-Sum')
  // Neither of these has a chunked body that trailers could follow.
  for (const request of ['GET / HTTP/1.0\r\nHost: a\r\n\r\n', get().replace('GET', 'HEAD')]) {
    const plain = await openClient(t, url)
    plain.write(request)
    await plain.until('200 OK')
    t.notMatch(await plain.until('\r\n\r\n'), /trailer/i)
  }
})
