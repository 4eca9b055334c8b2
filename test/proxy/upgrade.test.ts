import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseList } from 'structured-headers'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { eventually, type PolicyChanges, signal, startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post } from '../fixtures/raw-client.ts'
import { closedPort, ok, startStoppedUpstream, startUpstream, type Turn } from '../fixtures/upstream.ts'
import { listenToWarnings } from '../fixtures/warnings.ts'
import { KEY, switching, UPGRADE } from '../fixtures/web-socket.ts'

/** A WebSocket echo service, and the application before it. */
async function startEcho(t: Test, changes: PolicyChanges = {}) {
  const requests: IncomingMessage[] = []
  const server = createServer()
  const sockets = new WebSocketServer({
    server,
    perMessageDeflate: true,
    handleProtocols: (offered) => (offered.has('chat.2') ? 'chat.2' : false),
  })
  sockets.on('connection', (socket, request) => {
    requests.push(request)
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => {
      if (String(data) === 'path') return socket.send(String(request.url))
      if (String(data) === 'cut') return socket.terminate()
      socket.send(data, { binary: isBinary })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    for (const socket of sockets.clients) socket.terminate()
    await new Promise((resolve) => server.close(resolve))
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const test = await startTestApp(t, { ...changes, upstream: { url, ...changes.upstream } })
  return { ...test, requests, sockets, wsUrl: test.url.replace('http', 'ws'), upstreamUrl: url.replace('http', 'ws') }
}

/** An upstream of raw sockets, and the application before it. */
async function startRaw(t: Test, script: (turn: Turn) => void | Promise<void>, changes: PolicyChanges = {}) {
  const upstream = await startUpstream(t, script)
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url, ...changes.upstream } })
  return { upstream, ...test }
}

async function openSocket(t: Test, url: string, protocols: string[] = [], options = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, protocols, options)
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

async function say(socket: WebSocket, data: string | Buffer): Promise<string> {
  const heard = once(socket, 'message')
  socket.send(data)
  return String((await heard)[0])
}

function upgrade(target = '/', ...fields: readonly string[]): string {
  return get(target, ...UPGRADE, ...fields)
}

t.test('messages go both ways', async (t) => {
  const { wsUrl, metric, idle, logged } = await startEcho(t)
  const socket = await openSocket(t, `${wsUrl}/chat?room=1`)
  t.equal(await say(socket, 'hello'), 'hello')
  const large = randomBytes(1_000_000)
  const heard = once(socket, 'message')
  socket.send(large)
  t.ok(large.equals((await heard)[0] as Buffer))
  t.equal(await metric('sluice_upgrades_active'), 1)
  t.equal(await metric('sluice_inflight_requests'), 0, 'an open tunnel is no request under way')
  socket.close()
  await once(socket, 'close')
  await eventually('it is over', async () => (await metric('sluice_upgrades_active')) === 0)
  await idle()
  await eventually('it is counted', async () => (await metric('sluice_requests_total', { outcome: 'forwarded' })) === 1)
  t.equal(await metric('sluice_responses_total', { code: '101' }), 1)
  t.equal(await metric('sluice_requests_total'), 1)
  t.equal(logged('request').length, 1)
})

t.test('the handshake passes', async (t) => {
  t.test('with its subprotocol and extensions', async (t) => {
    const { wsUrl, requests } = await startEcho(t)
    const socket = await openSocket(t, wsUrl, ['chat.1', 'chat.2'], { perMessageDeflate: true })
    t.equal(socket.protocol, 'chat.2')
    t.match(socket.extensions, 'permessage-deflate')
    t.equal(await say(socket, 'x'.repeat(100_000)), 'x'.repeat(100_000))
    t.equal(requests[0]!.headers['sec-websocket-protocol'], 'chat.1,chat.2')
  })

  t.test('with the fields of a forwarded request, and our own on the answer', async (t) => {
    const { url, upstream } = await startRaw(t, ({ send }) =>
      send(switching('Set-Cookie: a=1', 'Set-Cookie: b=2', 'Via: 1.1 origin', 'RateLimit: "plan";r=1;t=1')),
    )
    const client = await openClient(t, url)
    const lies = ['X-Forwarded-For: 192.0.2.1', 'Forwarded: for=192.0.2.1', 'X-Api: k', 'Cookie: a=1', 'Cookie: b=2']
    client.write(upgrade('/chat', ...lies))
    const answer = await client.answer()
    t.equal(answer.status, 101)
    const [request] = upstream.seen
    t.equal(request!.one('host'), 'test')
    t.equal(request!.one('x-forwarded-for'), '127.0.0.1')
    t.same(request!.all('forwarded'), [])
    t.equal(request!.one('x-api'), 'k')
    t.same(request!.all('cookie'), ['a=1', 'b=2'])
    t.match(request!.one('via'), /^1\.1 sluice-/)
    t.ok(request!.one('x-request-id'))
    t.equal(request!.one('sec-websocket-key'), KEY)
    t.equal(request!.one('connection')?.toLowerCase(), 'upgrade')
    t.equal(request!.one('upgrade')?.toLowerCase(), 'websocket')
    t.same(answer.all('set-cookie'), ['a=1', 'b=2'])
    t.match(answer.all('via').join(', '), /^1\.1 origin, 1\.1 sluice-/)
    t.same(
      parseList(answer.all('ratelimit').join(', ')).map(([name]) => name),
      ['plan', 'device'],
    )
    t.equal(answer.all('sec-websocket-accept').length, 1)
    t.equal(answer.one('connection')?.toLowerCase(), 'upgrade')
    t.equal(answer.one('upgrade')?.toLowerCase(), 'websocket')
  })

  t.test('in the order, the letter case and the number in which its fields came, ours behind them', async (t) => {
    const { url, upstream } = await startRaw(t, ({ send }) => send(switching()))
    const handshake = [
      'pragma: no-cache',
      'HOST: test',
      'X-Twice: 1',
      `sec-webSocket-KEY: ${KEY}`,
      'CONNECTION: keep-alive, Upgrade',
      'x-twice: 2',
      'Cookie: a=1',
      'UPGRADE: WebSocket',
      'cookie: b=2',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: a',
      'Sec-WebSocket-Protocol: b',
    ]
    const client = await openClient(t, url)
    client.write(`GET /raw?q HTTP/1.1\r\n${handshake.join('\r\n')}\r\n\r\n`, 'early')
    t.equal((await client.answer()).status, 101)
    const sent = upstream.seen[0]!.head.split('\r\n')
    t.equal(sent[0], 'GET /raw?q HTTP/1.1')
    t.same(
      sent.slice(1, 13),
      handshake.map((line) => line.replace('keep-alive, ', '')),
    )
    t.same(
      sent
        .slice(13)
        .filter(Boolean)
        .map((line) => line.split(':')[0]),
      ['Via', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Request-Id'],
    )
  })

  t.test('of a real client as it is received without a proxy', async (t) => {
    const { wsUrl, requests, upstreamUrl } = await startEcho(t)
    const protocols = ['chat.1', 'chat.2']
    const options = { headers: { 'X-Mixed-Case': '1', Cookie: 'a=1; b=2' }, origin: 'https://a.example' }
    await openSocket(t, upstreamUrl, protocols, options)
    await openSocket(t, wsUrl, protocols, options)
    const [direct, proxied] = requests.map(({ rawHeaders }) => rawHeaders)
    const namesOf = (fields: readonly string[]) => fields.filter((_, i) => i % 2 === 0)
    t.same(namesOf(proxied!.slice(0, direct!.length)), namesOf(direct!))
    t.same(namesOf(proxied!.slice(direct!.length)).at(0), 'Via')
  })

  t.test('with its path as it was received', async (t) => {
    const { url, upstream } = await startRaw(t, ({ send }) => send(switching()))
    const targets = ['//a', '/a//b?c=//d', '/a%2Fb', '/?', '/a?b?c', '/a;b/']
    for (const target of targets) {
      const client = await openClient(t, url)
      client.write(upgrade(target))
      t.equal((await client.answer()).status, 101, target)
    }
    const client = await openClient(t, url)
    client.write(upgrade('http://real.example:99/abs?x').replace('Host: test', 'Host: real.example:99'))
    t.equal((await client.answer()).status, 101)
    t.same(
      upstream.seen.map(({ target }) => target),
      [...targets, '/abs?x'],
    )
    t.equal(upstream.seen.at(-1)!.one('host'), 'real.example:99')
  })

  t.test('and the bytes that come with it, either way, are the tunnel’s', async (t) => {
    const { url, upstream } = await startRaw(t, ({ send, socket }) => {
      send(switching(), 'early from upstream')
      socket.removeAllListeners('data')
      socket.on('data', (bytes) => socket.write(`echo ${bytes}`))
    })
    const client = await openClient(t, url)
    client.write(upgrade(), 'early from client')
    t.equal((await client.answer()).status, 101)
    await client.until('early from upstream')
    await client.until('echo early from client')
    t.equal(upstream.seen.length, 1)
  })
})

t.test('a handshake is limited like a request, before the tunnel opens', async (t) => {
  const { url, wsUrl, requests, metric, idle } = await startEcho(t, { limits: [limitOf({ burst: 1 })] })
  await openSocket(t, wsUrl)
  const refused = new WebSocket(wsUrl)
  refused.on('error', () => {})
  const [, answer] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage]
  t.equal(answer.statusCode, 429)
  t.equal(answer.headers['content-type'], 'application/problem+json')
  t.ok(Number(answer.headers['retry-after']) >= 1)
  answer.resume()
  await once(answer, 'end')
  const client = await openClient(t, url)
  client.write(upgrade('/', 'Origin: https://a.example'), 'early frames')
  const raw = await client.answer()
  t.equal(raw.status, 429)
  t.equal(raw.json.status, 429)
  t.equal(raw.one('connection'), 'close')
  t.equal(raw.one('access-control-allow-origin'), '*')
  t.equal((await client.closed()).error, null)
  t.equal(requests.length, 1)
  t.equal((await ask(t, url, get())).status, 429, 'and counts among requests')
  await idle()
  t.equal(await metric('sluice_requests_total', { outcome: 'limited' }), 3)
  t.equal(await metric('sluice_upgrades_active'), 1)
})

t.test('a refused client that does not close is closed, and counted at once', async (t) => {
  const { url, metric } = await startEcho(t, { limits: [limitOf({ burst: 1 })] })
  t.equal((await ask(t, url, upgrade())).status, 101)
  const client = await openClient(t, url, { closes: false })
  client.write(upgrade())
  t.equal((await client.answer()).status, 429)
  await eventually('it is counted', async () => (await metric('sluice_inflight_requests')) === 0, 500)
  t.equal(await metric('sluice_requests_total', { outcome: 'limited' }), 1)
  await client.closed()
})

t.test('an upstream that refuses', async (t) => {
  const cases = {
    'with a body of known length':
      'HTTP/1.1 401 No\r\nConnection: X-Hop\r\nX-Hop: 1\r\nWWW-Authenticate: Basic\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 6\r\n\r\nno way',
    'with chunks': 'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n3\r\nway\r\n0\r\n\r\n',
    'with a body up to the end': 'HTTP/1.0 404 No\r\n\r\nno way',
    'with 200': 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nno way',
  }
  for (const [name, answer] of Object.entries(cases)) {
    t.test(`${name}: its answer arrives`, async (t) => {
      const { url, metric, idle } = await startRaw(t, ({ send, socket }) => {
        send(answer)
        if (answer.includes('HTTP/1.0')) socket.end()
      })
      const client = await openClient(t, url)
      client.write(upgrade())
      const found = await client.answer()
      t.equal(found.status, Number(answer.slice(9, 12)))
      t.equal(found.text, 'no way')
      t.ok(found.isWhole)
      t.equal(found.one('connection'), 'close')
      t.same(found.all('x-hop'), [])
      t.match(found.one('via'), 'sluice-')
      t.match(found.one('ratelimit'), '"device"')
      if (answer.includes('X-A')) t.same(found.all('x-a'), ['1', '2'])
      t.equal((await client.closed()).error, null)
      await idle()
      t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 1)
      t.equal(await metric('sluice_upgrades_active'), 0)
    })
  }

  t.test('and breaks off: so does the answer', async (t) => {
    const { url } = await startRaw(t, ({ send, socket }) => {
      send('HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nno')
      socket.end()
    })
    const client = await openClient(t, url)
    client.write(upgrade())
    t.notOk((await client.answer()).isWhole)
    await client.closed()
  })

  t.test('and falls silent within its answer: cut off after idle_timeout', async (t) => {
    const { url, idle } = await startRaw(t, ({ send }) => send('HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nno'), {
      upstream: { idleTimeout: 300 },
    })
    const client = await openClient(t, url)
    client.write(upgrade())
    t.notOk((await client.answer()).isWhole)
    await client.closed()
    await idle()
  })

  t.test('with its own 429', async (t) => {
    const { url, metric, idle } = await startRaw(t, ({ send }) =>
      send('HTTP/1.1 429 Mine\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n'),
    )
    const answer = await ask(t, url, upgrade())
    t.equal(answer.one('retry-after'), '9')
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 1)
  })
})

t.test('an upstream that gives no proper answer', async (t) => {
  const cases: Record<string, (turn: Turn) => void> = {
    closes: ({ socket }) => socket.end(),
    resets: ({ socket }) => socket.resetAndDestroy(),
    'speaks no HTTP': ({ send }) => send('220 smtp\r\n'),
    'has status 099': ({ send }) => send('HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'),
    'has status 000': ({ send }) => send('HTTP/1.1 000 Low\r\nContent-Length: 0\r\n\r\n'),
    'has a control character': ({ send }) => send('HTTP/1.1 403 No\r\nX-Bad: a\x01b\r\nContent-Length: 0\r\n\r\n'),
    'has a control character in its 101': ({ send }) => send(switching('X-Bad: a\x01b')),
    'has a control character in its reason': ({ send }) => send('HTTP/1.1 403 N\x01\r\nContent-Length: 0\r\n\r\n'),
    'has a megabyte of header': ({ send }) => send(switching(`X-Long: ${'x'.repeat(1 << 20)}`)),
  }
  for (const [name, script] of Object.entries(cases)) {
    t.test(`but ${name}: 502, and the process stays up`, async (t) => {
      const { url, metric, idle } = await startRaw(t, (turn) =>
        turn.request.target === '/good' ? turn.send(ok('good')) : script(turn),
      )
      const client = await openClient(t, url)
      client.write(upgrade('/bad', 'Origin: https://a.example'))
      const answer = await client.answer()
      // A reason phrase is for nobody: it may go on, or be replaced.
      t.equal(answer.status, name.includes('reason') ? answer.status : 502)
      t.notMatch(answer.head, '\x01')
      if (answer.status === 502) {
        t.equal(answer.one('content-type'), 'application/problem+json')
        t.equal(answer.one('access-control-allow-origin'), '*')
        t.equal(parseList(answer.one('proxy-status') ?? '').length, 1)
      }
      await client.closed()
      t.equal((await ask(t, url, get('/good'))).text, 'good')
      await idle()
      t.equal(await metric('sluice_requests_total'), 2)
      t.equal(await metric('sluice_upgrades_active'), 0)
    })
  }

  t.test('is down: 502', async (t) => {
    const { url } = await startTestApp(t, { upstream: { url: `http://127.0.0.1:${await closedPort()}` } })
    const answer = await ask(t, url, upgrade('/', 'Origin: https://a.example'))
    t.equal(answer.status, 502)
    t.match(answer.one('proxy-status'), /^sluice; error=/)
  })

  t.test('is silent: 504', async (t) => {
    const gone = signal()
    const { url, metric, idle } = await startRaw(t, ({ socket }) => void socket.once('close', gone.give), {
      upstream: { responseTimeout: 200 },
    })
    const answer = await ask(t, url, upgrade())
    t.equal(answer.status, 504)
    t.equal(answer.one('proxy-status'), 'sluice; error=http_response_timeout')
    await gone.come
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 1)
  })

  t.test('accepts no connection: 504', async (t) => {
    const upstream = await startStoppedUpstream(t)
    const { url } = await startTestApp(t, {
      upstream: { url: upstream.url, connectTimeout: 200, responseTimeout: 400 },
    })
    t.equal((await ask(t, url, upgrade())).status, 504)
  })
})

t.test('a 101 that does not open the tunnel that was asked for: 502, and the upstream is left', async (t) => {
  const accepted = switching()
  const cases: Record<string, string> = {
    'without Sec-WebSocket-Accept': accepted.replace(/Sec-WebSocket-Accept.*\r\n/, ''),
    'with one of another key': accepted.replace('s3p', 's3q'),
    'with two': accepted.replace(/Sec-WebSocket-Accept.*\r\n/, '$&$&'),
    'with Upgrade: h2c': accepted.replace('Upgrade: websocket', 'Upgrade: h2c'),
    'with two protocols': accepted.replace('Upgrade: websocket', 'Upgrade: websocket, h2c'),
    'without Upgrade': accepted.replace('Upgrade: websocket\r\n', ''),
    'without Connection': accepted.replace('Connection: Upgrade\r\n', ''),
  }
  for (const [name, answer] of Object.entries(cases)) {
    t.test(name, async (t) => {
      const left = signal()
      const { url, metric, idle, logged } = await startRaw(t, ({ send, socket }) => {
        socket.once('close', left.give)
        send(answer, 'bytes of another protocol')
      })
      const client = await openClient(t, url)
      client.write(upgrade(), 'early')
      const found = await client.answer()
      t.equal(found.status, 502)
      t.notMatch(found.text, 'bytes of')
      t.match(found.one('proxy-status'), /^sluice; error=(?:http_upgrade_failed|http_protocol_error|connection_)/)
      await left.come
      await client.closed()
      await idle()
      t.equal(logged('upstream failed').length, 1)
      t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 1)
      t.equal(await metric('sluice_upgrades_active'), 0)
    })
  }

  t.test('nor does one to a handshake without a key', async (t) => {
    const { url } = await startRaw(t, ({ send }) => send(accepted))
    t.equal((await ask(t, url, get('/', ...UPGRADE.slice(0, 3)))).status, 502)
  })
})

t.test('a client that leaves before the answer takes its request along', async (t) => {
  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const asked = signal<Turn>()
    const { url, metric, idle } = await startRaw(t, asked.give)
    const client = await openClient(t, url)
    client.write(upgrade())
    const { socket } = await asked.come
    const gone = new Promise((resolve) => socket.once('close', resolve))
    const began = performance.now()
    client.socket[leave]()
    await gone
    t.ok(performance.now() - began < 1000, leave)
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1, leave)
    t.equal(await metric('sluice_requests_total'), 1)
  }
})

t.test('either side’s end is the other’s', async (t) => {
  async function startTunnel(t: Test, options = {}) {
    const asked = signal<Turn>()
    const test = await startRaw(t, (turn) => {
      turn.send(switching())
      asked.give(turn)
    })
    const client = await openClient(t, test.url, options)
    client.write(upgrade())
    t.equal((await client.answer()).status, 101)
    return { ...test, client, far: (await asked.come).socket }
  }
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    t.test(`the client's, by ${leave}`, async (t) => {
      const { client, far, metric } = await startTunnel(t)
      const gone = new Promise((resolve) => far.once('close', resolve))
      client.socket[leave]()
      await gone
      await eventually('none is left', async () => (await metric('sluice_upgrades_active')) === 0)
    })

    t.test(`the upstream's, by ${leave}`, async (t) => {
      const { client, far, metric } = await startTunnel(t)
      far[leave]()
      await client.closed()
      await eventually('none is left', async () => (await metric('sluice_upgrades_active')) === 0)
    })
  }

  t.test('also where a client keeps its half open', async (t) => {
    const { far, metric } = await startTunnel(t, { closes: false })
    far.end()
    await eventually('none is left', async () => (await metric('sluice_upgrades_active')) === 0)
  })

  t.test('a WebSocket’s closing handshake passes with its code', async (t) => {
    const { wsUrl, sockets } = await startEcho(t)
    const socket = await openSocket(t, wsUrl)
    for (const far of sockets.clients) far.close(4321, 'enough')
    const [code, reason] = await once(socket, 'close')
    t.equal(code, 4321)
    t.equal(String(reason), 'enough')
  })
})

t.test('a silent tunnel is cut after idle_timeout, one in use is not', async (t) => {
  const { wsUrl, metric, sockets } = await startEcho(t, { upstream: { idleTimeout: 300 } })
  const socket = await openSocket(t, wsUrl)
  const closed = once(socket, 'close')
  for (let i = 0; i < 6; i++) {
    t.equal(await say(socket, `${i}`), `${i}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.equal(await metric('sluice_upgrades_active'), 1)
  await closed
  await eventually('none is left', async () => (await metric('sluice_upgrades_active')) === 0)
  await eventually('nor at the upstream', () => sockets.clients.size === 0)
})

t.test('another protocol than WebSocket is not forwarded: the request is served plainly', async (t) => {
  const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']

  t.test('on a connection that goes on', async (t) => {
    const { url, upstream, metric, idle } = await startRaw(t, ({ request, send }) => send(ok(request.target)))
    const client = await openClient(t, url)
    client.write(get('/a', ...h2c))
    t.equal((await client.answer()).text, '/a')
    client.write(get('/b', ...h2c), get('/c'))
    t.equal((await client.answer()).text, '/b')
    t.equal((await client.answer()).text, '/c')
    for (const request of upstream.seen) {
      t.same(request.all('upgrade'), [])
      t.same(request.all('http2-settings'), [])
    }
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 3)
    t.equal(await metric('sluice_requests_total'), 3)
  })

  t.test(
    'with its body; the request that begins in one piece with its end is served or dropped, never misread',
    async (t) => {
      const { url, upstream, metric, idle } = await startRaw(t, async ({ body, send }) =>
        send(ok(String(await body()))),
      )
      const chunked = [
        'POST /chunked HTTP/1.1',
        'Host: a',
        'Transfer-Encoding: chunked',
        ...h2c,
        '',
        '3\r\nabc\r\n0\r\n',
      ]
      const hidden = get('/hidden')
      for (const first of [post('/sized', 'abc', ...h2c), `${chunked.join('\r\n')}\r\n`]) {
        const client = await openClient(t, url)
        client.write(`${first}POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n`)
        const answer = await client.answer()
        t.equal(answer.text, 'abc')
        client.write(hidden)
        if (answer.one('connection') === 'close') await client.closed()
        else t.equal((await client.answer()).text, hidden)
        client.socket.destroy()
      }
      await idle()
      for (const { target, all } of upstream.seen) {
        t.match(target, /^\/(sized|chunked|next)$/)
        t.same(all('upgrade'), [])
        t.same(all('http2-settings'), [])
      }
      t.equal(await metric('sluice_requests_total'), upstream.seen.length)
    },
  )

  t.test('with a malformed body it is refused, at the latest after min_rate_grace', async (t) => {
    const { url, metric, idle } = await startRaw(t, async ({ body, send }) => send(ok(String(await body()))), {
      server: { minRateGrace: 500, headerTimeout: 400 },
    })
    const client = await openClient(t, url)
    client.write(['POST /u HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked', ...h2c, '', 'no chunk\r\n'].join('\r\n'))
    const { status } = await client.answer()
    t.ok(status === 400 || status === 408, `${status}`)
    await client.closed()
    await idle()
    t.equal(await metric('sluice_requests_total'), 1)
  })

  t.test('and limited', async (t) => {
    const { url, upstream } = await startRaw(t, ({ send }) => send(ok()), { limits: [limitOf({ burst: 1 })] })
    t.equal((await ask(t, url, get('/', ...h2c))).status, 200)
    t.equal((await ask(t, url, get('/', ...h2c))).status, 429)
    t.equal(upstream.seen.length, 1)
  })

  t.test('as is a WebSocket handshake that is none: with a body, or not a GET', async (t) => {
    const { url, upstream } = await startRaw(t, async ({ body, send }) => send(ok(String(await body()))))
    const fields = ['Connection: Upgrade', 'Upgrade: websocket']
    t.equal((await ask(t, url, post('/', get('/hidden'), ...fields))).status, 200)
    const hidden = get('/hidden')
    t.equal((await ask(t, url, get('/', ...fields, `Content-Length: ${hidden.length}`) + hidden)).text, hidden)
    t.notOk(upstream.seen.some(({ target }) => target === '/hidden'))
    for (const request of upstream.seen) t.same(request.all('upgrade'), [])
  })

  t.test('a client that leaves meanwhile takes it along', async (t) => {
    const asked = signal<Turn>()
    const { url, metric, idle } = await startRaw(t, asked.give)
    const client = await openClient(t, url)
    client.write(get('/', ...h2c))
    const { socket } = await asked.come
    const gone = new Promise((resolve) => socket.once('close', resolve))
    client.socket.destroy()
    await gone
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
  })
})

t.test('what leaves HTTP waits until the requests before it are answered', async (t) => {
  const warnings = listenToWarnings(t)
  const cases = [
    ['a handshake', upgrade('/last'), 101],
    ['another protocol', get('/last', 'Connection: Upgrade', 'Upgrade: h2c'), 200],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 405],
  ] as const
  for (const [name, last, status] of cases) {
    t.test(name, async (t) => {
      const slow = signal()
      const { url, upstream, metric, idle } = await startRaw(t, async ({ request, send }) => {
        if (request.target === '/last') return send(request.one('upgrade') === undefined ? ok('last') : switching())
        await slow.come
        send(ok(request.target))
      })
      const client = await openClient(t, url)
      client.write(get('/1'), get('/2'), last)
      await eventually('the first is under way', () => upstream.seen.length === 1)
      slow.give()
      t.equal((await client.answer()).text, '/1')
      t.equal((await client.answer()).text, '/2')
      t.equal((await client.answer()).status, status)
      client.socket.destroy()
      await eventually('none is left', async () => (await metric('sluice_upgrades_active')) === 0)
      await idle()
      await eventually('all are counted', async () => (await metric('sluice_requests_total')) === 3)
    })

    t.test(`${name}, of a client that goes meanwhile`, async (t) => {
      const { url, upstream, metric, idle } = await startRaw(t, () => {})
      const client = await openClient(t, url)
      client.write(get('/1'), get('/2'), last)
      await eventually('the first is under way', () => upstream.seen.length === 1)
      client.socket.resetAndDestroy()
      await idle()
      t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
      t.notOk(upstream.seen.some(({ target }) => target === '/last'))
    })
  }
  t.test('without a warning', async (t) => t.same(warnings, []))
})

t.test('handshakes at the same time do not mix', async (t) => {
  const warnings = listenToWarnings(t)
  const { wsUrl, requests, metric, idle } = await startEcho(t)
  const sockets = await Promise.all(Array.from({ length: 200 }, (_, i) => openSocket(t, `${wsUrl}//p/${i}?q=${i}`)))
  t.equal(await metric('sluice_upgrades_active'), 200)
  const paths = await Promise.all(sockets.map((socket) => say(socket, 'path')))
  t.same(
    paths,
    sockets.map((_, i) => `//p/${i}?q=${i}`),
  )
  t.equal(requests.length, 200)
  for (const [i, socket] of sockets.entries()) {
    if (i % 3 === 0) socket.close()
    else if (i % 3 === 1) socket.terminate()
    else socket.send('cut')
  }
  await eventually('none is left', async () => (await metric('sluice_upgrades_active')) === 0)
  await idle()
  await eventually('all are counted', async () => (await metric('sluice_requests_total')) === 200)
  t.equal(await metric('sluice_requests_total', { outcome: 'forwarded' }), 200)
  t.same(warnings, [], 'and leave no listeners behind')
})

t.test('at most max_streams tunnels are open', async (t) => {
  const { wsUrl, url } = await startEcho(t, { upstream: { maxStreams: 2 } })
  const first = await openSocket(t, wsUrl)
  await openSocket(t, wsUrl)
  const answer = await ask(t, url, upgrade())
  t.equal(answer.status, 503)
  t.equal(answer.one('proxy-status'), 'sluice; error=connection_limit_reached')
  t.ok(Number(answer.one('retry-after')) >= 1)
  first.terminate()
  await eventually('there is room', async () => (await ask(t, url, upgrade())).status === 101)
})
