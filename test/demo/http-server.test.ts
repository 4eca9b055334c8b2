import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createHttpServer } from '../../src/demo/http-server.ts'
import { createDemo } from '../../src/demo/server.ts'
import { createLog } from '../../src/log.ts'
import { answer, startDemo } from './demo-under-test.ts'
import { createManualTimers, until } from './manual-timers.ts'

const log = createLog({ level: 'silent' })

t.test('what is not HTTP is answered with a problem', async (t) => {
  const { url } = await startDemo(t)
  const bad: [string, number][] = [
    ['GET / HTTP/1.1\r\nbad header\r\n\r\n', 400],
    ['\u0000\u0001\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400],
    ['GET /a\\b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 400],
  ]
  for (const [request, status] of bad) {
    const found = await send(url, request)
    t.match(found, new RegExp(`^HTTP/1\\.1 ${status} `))
    t.match(found, /content-type: application\/problem\+json/i)
    t.match(JSON.parse(found.split('\r\n\r\n')[1]!), { status })
  }
})

t.test('OPTIONS * is answered for the server as a whole', async (t) => {
  const { url } = await startDemo(t)
  t.match(await send(url, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 204 /)
})

t.test('a rejection that no route has caught is answered 500', async (t) => {
  const server = createHttpServer(() => Promise.reject('not even an error'), createManualTimers())
  t.teardown(() => server.close(1000))
  const url = await server.listen('127.0.0.1', 0)
  const found = await answer(fetch(url))
  t.equal(found.status, 500)
  t.equal(found.headers.get('content-type'), 'application/problem+json')
})

t.test('globals are left alone', async (t) => {
  const before = [globalThis.Request, globalThis.Response]
  await startDemo(t)
  t.ok(before[0] === globalThis.Request && before[1] === globalThis.Response)
})

t.test('a taken port is told with its address and what to do', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address() as AddressInfo
  const demo = createDemo({ port, log })
  const message = `cannot listen on 127.0.0.1:${port}: the port is taken; choose another`
  await t.rejects(demo.start(), { code: 'listen_failed', message })
  await demo.close()
})

t.test('an IPv6 address is in brackets', async (t) => {
  const demo = createDemo({ host: '::1', port: 0, log })
  t.teardown(() => demo.close())
  try {
    t.match((await demo.start()).url, /^http:\/\/\[::1\]:\d+$/)
  } catch {
    t.comment('there is no IPv6 here')
  }
})

t.test('closing finishes what is in flight, at once when it is done', async (t) => {
  const demo = await startDemo(t)
  const pending = demo.get('/slow?ms=500')
  await until(() => demo.timers.pending().includes(500))
  const closing = demo.close()
  await t.rejects(fetch(`${demo.url}/healthz`))
  await demo.timers.advance(500)
  t.equal((await pending).status, 200)
  await closing
  t.same(demo.timers.pending(), [])
})

t.test('closing drops connections that have no request, used before or not', async (t) => {
  const demo = await startDemo(t)
  const port = Number(new URL(demo.url).port)
  const [fresh, used] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  await Promise.all([once(fresh, 'connect'), once(used, 'connect')])
  used.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
  await once(used, 'data')
  const dropped = Promise.all([once(fresh.resume(), 'close'), once(used.resume(), 'close')])
  await demo.close()
  await dropped
  t.same(demo.timers.pending(), [])
})

t.test('closing cuts what takes longer than the grace', async (t) => {
  const demo = await startDemo(t, { graceMs: 100 })
  const cut = t.rejects(fetch(`${demo.url}/slow?ms=60000`))
  await until(() => demo.timers.pending().includes(60_000))
  const closing = demo.close()
  await demo.timers.advance(100)
  await cut
  await closing
  await until(() => demo.timers.pending().length === 0)
})

t.test('closing twice, and before starting, is fine', async (t) => {
  const demo = createDemo({ port: 0, log })
  await Promise.all([demo.close(), demo.close()])
  t.pass()
})

async function send(url: string, request: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(request)
  return text(socket)
}
