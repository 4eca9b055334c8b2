import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { WebSocket } from 'ws'
import { isProblem, startDemo } from './demo-under-test.ts'
import { until } from './manual-timers.ts'

t.test('messages come back as they were, text as text and binary as binary', async (t) => {
  const { url } = await startDemo(t)
  const socket = await open(`${url}/ws?x=1`)
  socket.send('héllo')
  t.same(await message(socket), { data: 'héllo', isBinary: false })
  socket.send(Buffer.from([0, 255]))
  t.same(await message(socket), { data: '\u0000\ufffd', isBinary: true })
  socket.send('')
  t.same(await message(socket), { data: '', isBinary: false })
  socket.close(1000)
  t.equal((await once(socket, 'close'))[0], 1000)
})

t.test('a message above 1 MiB closes its socket only', async (t) => {
  const demo = await startDemo(t)
  const [large, other] = await Promise.all([open(`${demo.url}/ws`), open(`${demo.url}/ws`)])
  large.send(Buffer.alloc(1024 * 1024 + 1))
  t.equal((await once(large, 'close'))[0], 1009)
  other.send('still here')
  t.equal((await message(other)).data, 'still here')
  other.terminate()
})

t.test('a peer that sends and does not read is not read from either, until it reads', async (t) => {
  const { url } = await startDemo(t)
  const socket = await open(`${url}/ws`)
  socket.pause()
  const messages = 100
  for (let n = 0; n < messages; n++) socket.send(Buffer.alloc(1024 * 1024))
  let before: number
  do {
    before = socket.bufferedAmount
    for (let turn = 0; turn < 1000; turn++) await nextTurn()
  } while (socket.bufferedAmount !== before)
  t.ok(before > 50 * 1024 * 1024, 'most of it was never taken')
  let echoed = 0
  socket.on('message', () => echoed++)
  socket.resume()
  await until(() => echoed === messages)
  socket.terminate()
})

t.test('upgrades elsewhere are 404', async (t) => {
  const { url } = await startDemo(t)
  for (const path of ['/', '/echo', '/ws/', '/wsx', '/WS', '//ws']) {
    const found = await handshake(url, path)
    t.match(found, /^HTTP\/1\.1 404 Not Found\r\n/, path)
    t.match(found, /Content-Type: application\/problem\+json\r\n/)
    t.equal(JSON.parse(found.split('\r\n\r\n')[1]!).status, 404)
  }
})

t.test('a handshake that is none is 400', async (t) => {
  const { url } = await startDemo(t)
  const found = await handshake(url, '/ws', 'Sec-WebSocket-Version: 13\r\n')
  t.match(found, /^HTTP\/1\.1 400 Bad Request\r\n/)
  t.match(found, /application\/problem\+json/)
})

t.test('without an upgrade /ws is 426', async (t) => {
  const demo = await startDemo(t)
  const found = await demo.get('/ws')
  isProblem(t, found, 426)
  t.equal(found.headers.get('upgrade'), 'websocket')
})

t.test('a client that resets its connection does no harm', async (t) => {
  const demo = await startDemo(t)
  const { port } = new URL(demo.url)
  for (const path of ['/ws', '/elsewhere']) {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write(head(path))
    socket.resetAndDestroy()
    await once(socket, 'close')
  }
  const open_ = await open(`${demo.url}/ws`)
  open_.terminate()
  await until(() => demo.timers.pending().length === 0)
  t.equal((await demo.get('/healthz')).status, 200)
})

t.test('a peer that answers pings stays, one that does not is cut', async (t) => {
  const { url, timers } = await startDemo(t)
  const alive = await open(`${url}/ws`)
  const pinged = once(alive, 'ping')
  await timers.advance(30_000)
  await pinged
  // Its pong is on the way; an echo behind it on the same connection says that it has arrived.
  alive.send('after the pong')
  await message(alive)
  await timers.advance(30_000)
  t.equal(alive.readyState, WebSocket.OPEN)
  alive.terminate()
  await until(() => timers.pending().length === 0)

  const silent = await open(`${url}/ws`, { autoPong: false })
  const closed = once(silent, 'close')
  await timers.advance(60_000)
  t.equal((await closed)[0], 1006)
  t.same(timers.pending(), [])
})

t.test('closing the demo tells its sockets, and cuts those that do not answer', async (t) => {
  const demo = await startDemo(t)
  const polite = await open(`${demo.url}/ws`)
  const { port } = new URL(demo.url)
  const deaf = connect(Number(port), '127.0.0.1')
  deaf.write(head('/ws', 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'))
  await once(deaf, 'data')
  const told = once(polite, 'close')
  const cut = once(deaf.resume(), 'close')
  const closing = demo.close()
  t.equal((await told)[0], 1001)
  await demo.timers.advance(1000)
  await cut
  await closing
  t.same(demo.timers.pending(), [])
})

async function open(url: string, options: { autoPong?: boolean } = {}): Promise<WebSocket> {
  const socket = new WebSocket(url.replace('http', 'ws'), options)
  await once(socket, 'open')
  return socket
}

async function message(socket: WebSocket): Promise<{ data: string; isBinary: boolean }> {
  const [data, isBinary] = await once(socket, 'message')
  return { data: String(data), isBinary }
}

async function handshake(url: string, path: string, fields?: string): Promise<string> {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(head(path, fields))
  return text(socket)
}

function head(
  path: string,
  fields = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${fields}\r\n`
}
