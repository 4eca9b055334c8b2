import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { serve } from '../e2e/process.ts'
import { eventually, signal, startTestApp } from '../fixtures/app.ts'
import { startLoad } from '../fixtures/load.ts'
import { get, openClient } from '../fixtures/raw-client.ts'
import { startUpstream, type Turn } from '../fixtures/upstream.ts'
import { switching, UPGRADE } from '../fixtures/web-socket.ts'

/** The end (faults, section Life): SIGTERM under load, nothing in flight is lost, exit within the drain. */

t.test('SIGTERM under load of 64 connections, 20 reloads before it: no request fails, exit 0', async (t) => {
  let served = 0
  const server = createServer((request, response) => {
    request.resume()
    setTimeout(() => response.end('x'.repeat(1000)), served++ % 20)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close().closeAllConnections())
  const policy = (burst: number) =>
    `version: 1\nlog: {access: 'off'}\nlimits: [{name: all, per: global, rate: 1000000/s, burst: ${burst}}]\n`
  const file = join(t.testdir({ 'p.yaml': policy(1_000_000) }), 'p.yaml')
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const proxy = await serve(t, { SLUICE_UPSTREAM: upstream }, ['-c', file])
  const load = [
    startLoad(proxy.url, { connections: 40, reconnects: false }),
    // Some pause between their requests, some send bodies: they are idle, or sending, when it ends.
    startLoad(proxy.url, { connections: 16, reconnects: false, pause: 7 }),
    startLoad(proxy.url, { connections: 8, reconnects: false, method: 'POST', body: 'y'.repeat(100_000) }),
  ]
  const answered = () => load.reduce((sum, part) => sum + part.answered(), 0)
  await eventually('all are at it', () => answered() > 200, 20_000)
  for (let i = 1; i <= 20; i++) {
    writeFileSync(file, policy(1_000_000 - i))
    proxy.child.kill('SIGHUP')
    await delay(20)
  }
  const before = answered()
  proxy.child.kill('SIGTERM')
  const began = performance.now()
  t.equal(await proxy.ended, 0)
  const took = performance.now() - began
  t.ok(took < 10_000, `${took} ms`)
  const results = await Promise.all(load.map((part) => part.stop()))
  t.same(
    results.flatMap(({ failures }) => failures),
    [],
  )
  t.ok(results.every(({ statuses }) => Object.keys(statuses).join() === '200'))
  t.ok(answered() > before, 'what was under way was answered')
  t.equal(answered(), served, 'each request once')
})

t.test('an endless answer (an event stream) goes on until the end of the drain, and is cut then', async (t) => {
  const asked = signal<Turn>()
  const upstream = await startUpstream(t, asked.give)
  const file = join(
    t.testdir({ 'p.yaml': `version: 1\nserver: {drain_timeout: 1500ms}\nupstream: {url: '${upstream.url}'}\n` }),
    'p.yaml',
  )
  const proxy = await serve(t, {}, ['-c', file])
  const client = await openClient(t, proxy.url)
  client.write(get('/events'))
  const turn = await asked.come
  turn.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
  await client.until('200 OK')
  const began = performance.now()
  proxy.child.kill('SIGTERM')
  let events = 0
  const ticking = setInterval(() => turn.send(`9\r\ndata: ${events++ % 10}\n\n\r\n`), 50)
  await client.closed()
  clearInterval(ticking)
  const took = performance.now() - began
  t.ok(took >= 1400 && took < 5000, `${took} ms`)
  t.ok(events > 10, `${events} events`)
  t.match(client.rest().toString(), `data: ${Math.min(9, events - 8)}`)
  t.equal(await proxy.ended, 0)
})

/** A WebSocket service, and the application before it. */
async function startSockets(t: Test) {
  const server = createServer()
  const far = new WebSocketServer({ server, perMessageDeflate: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    for (const socket of far.clients) socket.terminate()
    await new Promise((resolve) => server.close(resolve))
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const test = await startTestApp(t, { upstream: { url }, server: { drainTimeout: 20_000 } })
  async function open(): Promise<WebSocket> {
    const socket = new WebSocket(test.url.replace('http', 'ws'), { perMessageDeflate: true })
    t.teardown(() => socket.terminate())
    await once(socket, 'open')
    return socket
  }
  return { ...test, far, open }
}

t.test('an open WebSocket is told on both sides that this end goes away, 1001, and ends cleanly', async (t) => {
  const { app, far, open } = await startSockets(t)
  const codes: number[] = []
  const note = (code: number) => codes.push(code)
  far.on('connection', (socket) => socket.on('close', note))
  for (let i = 0; i < 20; i++) {
    const socket = await open()
    socket.on('close', note)
    if (i % 2 === 0) socket.send('hello')
  }
  const began = performance.now()
  await app.close()
  t.ok(performance.now() - began < 5000, 'nobody waits for the hard stop')
  await eventually('all have ended', () => codes.length === 40)
  t.same(new Set(codes), new Set([1001]))
})

t.test('messages under way are whole when the end comes: no frame is broken open', async (t) => {
  const { app, far, open } = await startSockets(t)
  const errors: string[] = []
  const messages = { near: 0, far: 0 }
  const text = 'abcdefghij'.repeat(7000)
  const codes: number[] = []
  function chat(socket: WebSocket, side: 'near' | 'far', pace: number): void {
    const sending = setInterval(() => socket.send(text), pace)
    socket.on('message', (data) => {
      messages[side]++
      if (String(data) !== text) errors.push('another text')
    })
    socket.on('error', (cause) => errors.push(String(cause)))
    socket.on('close', (code) => {
      codes.push(code)
      clearInterval(sending)
    })
  }
  far.on('connection', (socket) => chat(socket, 'far', 11))
  for (let i = 0; i < 5; i++) chat(await open(), 'near', 13)
  await eventually('they talk', () => messages.near > 20 && messages.far > 20)
  await app.close()
  await eventually('all have ended', () => codes.length === 10)
  t.same(errors, [])
  t.same(new Set(codes), new Set([1001]))
})

const GOING_AWAY = Buffer.from([0x88, 2, 0x03, 0xe9])

/** A tunnel between two raw ends. */
async function startTunnel(t: Test, drainTimeout: number) {
  const asked = signal<Turn>()
  const upstream = await startUpstream(t, (turn) => {
    turn.send(switching())
    asked.give(turn)
  })
  const { app } = await startTestApp(t, { upstream: { url: upstream.url }, server: { drainTimeout } })
  const client = await openClient(t, app.url)
  client.write(get('/', ...UPGRADE))
  await client.answer()
  const { socket } = await asked.come
  const received: Buffer[] = []
  socket.removeAllListeners('data').on('data', (bytes) => received.push(bytes))
  return { app, client, far: socket, received: () => Buffer.concat(received) }
}

t.test('a frame under way is passed on to its end before the Close frame', async (t) => {
  const { app, client, far, received } = await startTunnel(t, 20_000)
  far.write(Buffer.concat([Buffer.from([0x82, 10]), Buffer.from('1234')]))
  await client.until('1234')
  const closing = app.close()
  await delay(100)
  t.same(received().subarray(0, 2), Buffer.from([0x88, 0x82]), 'where none is under way it comes at once')
  // Its end, and the beginning of another, which is not for the client any more.
  far.write(Buffer.concat([Buffer.from('567890'), Buffer.from([0x82, 3]), Buffer.from('abc')]))
  await client.until('567890')
  await eventually('the Close frame', () => client.rest().length >= 16)
  t.same(client.rest().subarray(2), Buffer.concat([Buffer.from('1234567890'), GOING_AWAY]))
  // Both answer with a Close frame of their own, and are let go.
  client.socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]))
  far.write(Buffer.from([0x88, 0]))
  await client.closed()
  await closing
  t.same(client.rest().subarray(2), Buffer.concat([Buffer.from('1234567890'), GOING_AWAY]), 'and nothing after it')
})

t.test('a tunnel that does not answer its Close frame is cut at the end of the drain', async (t) => {
  const { app, client, far } = await startTunnel(t, 500)
  const began = performance.now()
  await app.close()
  const took = performance.now() - began
  t.ok(took >= 450 && took < 3000, `${took} ms`)
  await client.closed()
  await eventually('the upstream is told', () => far.destroyed)
  t.same(client.rest(), GOING_AWAY)
})

t.test('bytes that are no WebSocket frames pass unharmed until the end of the drain', async (t) => {
  const { app, client, far, received } = await startTunnel(t, 700)
  far.write('last words, ')
  client.write('mine')
  await client.until('last words, ')
  await eventually('they pass', () => received().toString() === 'mine')
  const closing = app.close()
  await delay(100)
  far.write('and more')
  await closing
  await client.closed()
  t.equal(client.rest().toString(), 'last words, and more')
  t.equal(received().toString(), 'mine')
})

t.test('a handshake that ends while it drains is ended too', async (t) => {
  const asked = signal<Turn>()
  const upstream = await startUpstream(t, asked.give)
  const { app } = await startTestApp(t, { upstream: { url: upstream.url }, server: { drainTimeout: 2000 } })
  const client = await openClient(t, app.url)
  client.write(get('/', ...UPGRADE))
  const turn = await asked.come
  const closing = app.close()
  await delay(50)
  turn.send(switching())
  await client.answer()
  await eventually('the Close frame', () => client.rest().equals(GOING_AWAY))
  client.socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]))
  await closing
})
