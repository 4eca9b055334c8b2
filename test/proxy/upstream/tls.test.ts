import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttps, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import type { UpstreamTls } from '../../../src/policy/types.ts'
import { startTestApp } from '../../fixtures/app.ts'
import { ask, get, post } from '../../fixtures/raw-client.ts'

const pem = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}.pem`, import.meta.url), 'utf8')
const SERVER = { cert: pem('server'), key: pem('server-key') }
const trust = (changes: Partial<UpstreamTls> = {}): UpstreamTls => ({
  ca: pem('ca'),
  cert: null,
  key: null,
  serverName: 'localhost',
  ...changes,
})

const echo: RequestListener = (request, response) => {
  request.setEncoding('utf8')
  let body = ''
  request.on('data', (text) => {
    body += text
  })
  request.on('end', () => response.end(`${request.method} ${request.url} ${body}`))
}

/** A server on the loopback, and the WebSocket echo beside it. */
async function listen(t: Test, server: Server, at: object = { port: 0, host: '127.0.0.1' }) {
  const requests: IncomingMessage[] = []
  const sockets = new Set<Socket>()
  const tunnels = new WebSocketServer({ server })
  server.on('request', (request) => requests.push(request))
  server.on('connection', (socket: Socket) => sockets.add(socket))
  tunnels.on('connection', (socket) => socket.on('message', (data) => socket.send(`heard ${data}`)))
  server.listen(at)
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of tunnels.clients) socket.terminate()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return { requests, sockets, port: (server.address() as AddressInfo).port }
}

async function startTls(t: Test, options: ServerOptions, tls: UpstreamTls | null, changes = {}) {
  const server = createHttps(options, echo)
  const seen = await listen(t, server as unknown as Server)
  const test = await startTestApp(t, { upstream: { url: `https://127.0.0.1:${seen.port}`, tls, ...changes } })
  return { ...seen, ...test }
}

function errorOf(answer: { one(name: string): string | undefined }): string | undefined {
  return /error=(\w+)/.exec(answer.one('proxy-status') ?? '')?.[1]
}

async function sayOverTunnel(t: Test, url: string): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'))
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  const heard = once(socket, 'message')
  socket.send('hello')
  return String((await heard)[0])
}

t.test('an https upstream whose certificate the given authority signed', async (t) => {
  const { url, requests, sockets } = await startTls(t, SERVER, trust())
  t.equal((await ask(t, url, get('/a'))).text, 'GET /a ')
  t.equal((await ask(t, url, post('/b', 'x'.repeat(100_000)))).text, `POST /b ${'x'.repeat(100_000)}`)
  t.equal(sockets.size, 1, 'connections are kept')
  t.equal((requests[0]!.socket as TLSSocket).getProtocol(), 'TLSv1.3')
  t.equal(await sayOverTunnel(t, url), 'heard hello')
})

t.test('a certificate is verified', async (t) => {
  const cases: Record<string, readonly [ServerOptions, UpstreamTls | null, error: string]> = {
    'the system does not know who signed it': [SERVER, null, 'tls_certificate_error'],
    'another authority signed it': [SERVER, trust({ ca: pem('stranger') }), 'tls_certificate_error'],
    'it is for another name': [SERVER, trust({ serverName: 'elsewhere.internal' }), 'tls_certificate_error'],
    'it is for a name, and an address was asked for': [SERVER, trust({ serverName: null }), 'tls_certificate_error'],
    'it has expired': [{ cert: pem('expired'), key: pem('expired-key') }, trust(), 'tls_certificate_error'],
    'it signed itself': [{ cert: pem('stranger'), key: pem('stranger-key') }, trust(), 'tls_certificate_error'],
    'there is no version in common': [{ ...SERVER, maxVersion: 'TLSv1.1' }, trust(), 'tls_'],
  }
  for (const [name, [options, tls, error]] of Object.entries(cases)) {
    t.test(name, async (t) => {
      const { url, requests, metric } = await startTls(t, options, tls)
      for (const request of [get('/', 'Host: localhost').replace('Host: test\r\n', ''), post('/', 'body')]) {
        const answer = await ask(t, url, request)
        t.equal(answer.status, 502)
        t.match(errorOf(answer), new RegExp(`^${error}`))
      }
      const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: x']
      const answer = await ask(t, url, get('/', ...upgrade))
      t.equal(answer.status, 502, 'nor is it for an upgrade')
      t.match(errorOf(answer), new RegExp(`^${error}`))
      t.equal(requests.length, 0)
      t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 3)
    })
  }
})

t.test('server_name is asked for and verified, whatever the client’s Host says', async (t) => {
  const asked: string[] = []
  const { url } = await startTls(
    t,
    {
      ...SERVER,
      SNICallback: (name, done) => {
        asked.push(name)
        done(null)
      },
    },
    trust({ serverName: 'api.internal' }),
  )
  const request = get('/', 'Host: elsewhere.example').replace('Host: test\r\n', '')
  t.equal((await ask(t, url, request)).status, 200)
  t.equal(await sayOverTunnel(t, url), 'heard hello')
  t.same(asked, ['api.internal', 'api.internal'])
})

t.test('a certificate of ours, where the upstream wants one', async (t) => {
  const options = { ...SERVER, ca: pem('ca'), requestCert: true, rejectUnauthorized: true }
  const known = await startTls(t, options, trust({ cert: pem('client'), key: pem('client-key') }))
  t.equal((await ask(t, known.url, get())).status, 200)
  t.equal((known.requests[0]!.socket as TLSSocket).getPeerCertificate().subject.CN, 'client')
  t.equal(await sayOverTunnel(t, known.url), 'heard hello')
  const unknown = await startTls(t, options, trust())
  const answer = await ask(t, unknown.url, get())
  t.equal(answer.status, 502)
  t.equal(errorOf(answer), 'tls_alert_received')
})

t.test('an upstream that speaks no TLS: 502; one that says nothing: 504', async (t) => {
  const sockets = new Set<Socket>()
  const server = createTcp((socket) => {
    sockets.add(socket.on('error', () => {}))
    if (sockets.size === 1) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const { url } = await startTestApp(t, {
    upstream: { url: `https://127.0.0.1:${port}`, tls: trust(), connectTimeout: 300 },
  })
  const plain = await ask(t, url, get())
  t.equal(plain.status, 502)
  t.equal(errorOf(plain), 'tls_protocol_error')
  const silent = await ask(t, url, get())
  t.equal(silent.status, 504)
  t.equal(errorOf(silent), 'connection_timeout')
})

t.test('an upstream behind a unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'api.sock')
  const { url } = await startTestApp(t, { upstream: { url: `unix:${path}`, preserveHost: false } })
  const absent = await ask(t, url, get())
  t.equal(absent.status, 502)
  t.equal(errorOf(absent), 'destination_unavailable')
  const { requests, sockets } = await listen(t, createHttp(echo), { path })
  t.equal((await ask(t, url, post('/b?c', 'body'))).text, 'POST /b?c body')
  t.equal((await ask(t, url, get('/d'))).text, 'GET /d ')
  t.equal(requests[0]!.headers.host, 'localhost')
  t.equal(sockets.size, 1)
  t.equal(await sayOverTunnel(t, url), 'heard hello')
})
