import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parseList } from 'structured-headers'
import t, { type Test } from 'tap'
import { AMPLE, eventually, type PolicyChanges, signal, startTestApp } from '../fixtures/app.ts'
import { ask, get, openClient, post, type RawAnswer } from '../fixtures/raw-client.ts'
import { closedPort, ok, startStoppedUpstream, startUpstream, type Turn } from '../fixtures/upstream.ts'

/** The application before an upstream that answers as scripted. */
async function startBoth(t: Test, script?: (turn: Turn) => void | Promise<void>, changes: PolicyChanges = {}) {
  const upstream = await startUpstream(t, script)
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url, ...changes.upstream } })
  return { upstream, ...test }
}

function isProblem(t: Test, answer: RawAnswer, status: number): void {
  t.equal(answer.status, status)
  t.equal(answer.one('content-type'), 'application/problem+json')
  t.equal(answer.one('cache-control'), 'no-store')
  t.equal(answer.json.status, status)
  t.type(answer.json.title, 'string')
  t.type(answer.json.detail, 'string')
}

/** Holds an answer to RFC 9209: one member, the name of the proxy, with the error that is wanted. */
function isProxyError(t: Test, answer: RawAnswer, status: number, error: string): void {
  isProblem(t, answer, status)
  const members = parseList(answer.one('proxy-status') ?? '')
  t.equal(members.length, 1)
  t.equal(String(members[0]![0]), 'sluice')
  t.equal(String(members[0]![1].get('error')), error)
}

t.test('a request arrives as it was sent', async (t) => {
  t.test('method, path and query', async (t) => {
    const { url, upstream } = await startBoth(t)
    const targets = ['/', '/a/b.c?x=1&y=%20z', '//a//b', '/a%2Fb/', '/%C3%A9?q=%zz', '/?', '/a?b?c', "/~!$&'()*+,;=:@"]
    for (const target of targets) await ask(t, url, get(target))
    t.same(
      upstream.seen.map((request) => request.target),
      targets,
    )
    for (const method of ['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']) {
      const answer = await ask(t, url, `${method} /m HTTP/1.1\r\nHost: a\r\n\r\n`)
      t.equal(answer.status, 200, method)
      t.equal(upstream.seen.at(-1)?.method, method)
    }
  })

  t.test('dot segments are resolved before it is forwarded', async (t) => {
    const { url, upstream } = await startBoth(t)
    await ask(t, url, get('/a/../b/./c/%2e%2e/d?e=/../f'))
    t.equal(upstream.seen[0]!.target, '/b/d?e=/../f')
  })

  t.test('a body of known length, byte for byte', async (t) => {
    const { url, upstream } = await startBoth(t)
    const body = randomBytes(3000).toString('latin1')
    const client = await openClient(t, url)
    client.write('PUT /f HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n', body)
    t.equal((await client.answer()).status, 200)
    t.equal(upstream.seen[0]!.body.toString('latin1'), body)
    t.equal(upstream.seen[0]!.one('content-length'), '3000')
    t.equal(upstream.seen[0]!.one('transfer-encoding'), undefined)
  })

  t.test('a chunked body, as it comes where none is held back', async (t) => {
    const { url, upstream } = await startBoth(t, undefined, { server: { requestBuffer: 0 } })
    const client = await openClient(t, url)
    client.write('POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await eventually('it has begun', () => upstream.seen.length === 1)
    client.write('7;ext=1\r\n, world\r\n0\r\n\r\n')
    t.equal((await client.answer()).status, 200)
    t.equal(upstream.seen[0]!.body.toString(), 'hello, world')
    t.equal(upstream.seen[0]!.one('transfer-encoding'), 'chunked')
    t.equal(upstream.seen[0]!.one('content-length'), undefined)
  })

  t.test('a body of a GET or a DELETE, which is not another request', async (t) => {
    const { url, upstream } = await startBoth(t)
    const hidden = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'
    for (const method of ['GET', 'DELETE', 'OPTIONS']) {
      await ask(t, url, `${method} /m HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`)
      t.equal(upstream.seen.at(-1)?.body.toString(), hidden, method)
      const size = hidden.length.toString(16)
      const head = `${method} /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`
      await ask(t, url, `${head}${size}\r\n${hidden}\r\n0\r\n\r\n`)
      t.equal(upstream.seen.at(-1)?.body.toString(), hidden, `${method} chunked`)
    }
    t.equal(upstream.seen.length, 6)
    t.notOk(upstream.seen.some(({ target }) => target === '/hidden'))
  })

  t.test('an empty body of a POST', async (t) => {
    const { url, upstream } = await startBoth(t)
    t.equal((await ask(t, url, post('/', ''))).status, 200)
    t.equal((await ask(t, url, 'POST / HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200)
    for (const request of upstream.seen) {
      t.equal(request.one('content-length'), '0')
      t.equal(request.one('transfer-encoding'), undefined)
    }
  })

  t.test('fields keep their order, case, duplicates and bytes', async (t) => {
    const { url, upstream } = await startBoth(t)
    await ask(
      t,
      url,
      get('/', 'X-b: 1', 'x-A: caf\xe9', 'X-b: 2', 'x-B:   3  ', 'Cookie: a=1', 'Cookie: b=2', 'X-Empty:'),
    )
    const sent = upstream.seen[0]!.fields.filter(([name]) => /^(x-[ab]|cookie|x-empty)$/i.test(name))
    t.same(sent, [
      ['X-b', '1'],
      ['x-A', 'caf\xe9'],
      ['X-b', '2'],
      ['x-B', '3'],
      ['Cookie', 'a=1'],
      ['Cookie', 'b=2'],
      ['X-Empty', ''],
    ])
  })

  t.test('a field named __proto__ is a field', async (t) => {
    const { url, upstream } = await startBoth(t)
    t.equal((await ask(t, url, get('/', '__proto__: x', 'constructor: y'))).status, 200)
    t.equal(upstream.seen[0]!.one('__proto__'), 'x')
    t.equal(upstream.seen[0]!.one('constructor'), 'y')
  })
})

t.test('what ends at a hop is not forwarded', async (t) => {
  t.test('of a request', async (t) => {
    const { url, upstream } = await startBoth(t)
    const hop = ['Keep-Alive: timeout=5', 'Proxy-Connection: x', 'Proxy-Authorization: y', 'TE: trailers', 'Trailer: Z']
    await ask(t, url, get('/', 'Connection: X-Nominated, close', 'x-nominated: 1', 'X-Kept: 2', ...hop))
    const [request] = upstream.seen
    for (const name of ['keep-alive', 'proxy-connection', 'proxy-authorization', 'te', 'trailer', 'x-nominated']) {
      t.same(request!.all(name), [], name)
    }
    t.equal(request!.one('x-kept'), '2')
    t.not(request!.one('connection'), 'close', "the client's connection is not the upstream's")
  })

  t.test('but Connection cannot nominate away who asks and what for', async (t) => {
    const { url, upstream } = await startBoth(t)
    const nominated = 'Connection: Host, Authorization, Content-Length, Cookie, Via, X-Forwarded-For, X-Request-Id'
    await ask(t, url, post('/', 'body', nominated, 'Authorization: Bearer t', 'Cookie: a=b'))
    const [request] = upstream.seen
    t.equal(request!.one('host'), 'test')
    t.equal(request!.one('authorization'), 'Bearer t')
    t.equal(request!.one('cookie'), 'a=b')
    t.equal(request!.body.toString(), 'body')
    t.equal(request!.one('x-forwarded-for'), '127.0.0.1')
    t.ok(request!.one('x-request-id'))
  })

  t.test('of an answer', async (t) => {
    const { url } = await startBoth(t, ({ send }) =>
      send(
        ok(
          'ok',
          'Connection: X-Nominated, keep-alive',
          'X-Nominated: 1',
          'Keep-Alive: timeout=77',
          'Proxy-Authenticate: Basic',
          'Trailer: X-T',
          'Upgrade: h2c',
          'x-Kept: 1',
          'X-kept: 2',
          'Set-Cookie: a=1',
          'Set-Cookie: b=caf\xe9',
        ),
      ),
    )
    const answer = await ask(t, url, get())
    for (const name of ['x-nominated', 'proxy-authenticate', 'trailer', 'upgrade']) t.same(answer.all(name), [], name)
    t.notOk(answer.all('keep-alive').includes('timeout=77'))
    t.same(
      answer.fields.filter(([name]) => /^(x-kept|set-cookie)$/i.test(name)),
      [
        ['x-Kept', '1'],
        ['X-kept', '2'],
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=caf\xe9'],
      ],
    )
  })
})

t.test('Host is the client’s, or the upstream’s where preserve_host is off', async (t) => {
  const kept = await startBoth(t)
  await ask(t, kept.url, 'GET / HTTP/1.1\r\nHost: Shop.example:81\r\n\r\n')
  t.equal(kept.upstream.seen[0]!.one('host'), 'shop.example:81')
  const replaced = await startBoth(t, undefined, { upstream: { preserveHost: false } })
  await ask(t, replaced.url, 'GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n')
  t.equal(replaced.upstream.seen[0]!.one('host'), `127.0.0.1:${replaced.upstream.port}`)
  t.equal(replaced.upstream.seen[0]!.one('x-forwarded-host'), 'shop.example')
})

t.test('an absolute-form target is forwarded in origin form, its authority replaces Host', async (t) => {
  const { url, upstream } = await startBoth(t)
  const answer = await ask(t, url, 'GET http://real.example:8080/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n')
  t.equal(answer.status, 200)
  t.equal(upstream.seen[0]!.target, '/a?b')
  t.equal(upstream.seen[0]!.one('host'), 'real.example:8080')
})

t.test('forwarding fields', async (t) => {
  const lies = ['X-Forwarded-For: 192.0.2.9', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: lie.example']

  t.test('say what is so when the peer is not trusted', async (t) => {
    const { url, upstream, metric } = await startBoth(t)
    await ask(t, url, get('/', ...lies, 'Forwarded: for=192.0.2.9', 'X-Real-IP: 192.0.2.9', 'X-Forwarded-Port: 1'))
    const [request] = upstream.seen
    t.equal(request!.one('x-forwarded-for'), '127.0.0.1')
    t.equal(request!.one('x-forwarded-proto'), 'http')
    t.equal(request!.one('x-forwarded-host'), 'test')
    for (const name of ['forwarded', 'x-real-ip', 'x-forwarded-port']) t.same(request!.all(name), [], name)
    t.equal(await metric('sluice_untrusted_forwarding_total'), 1)
  })

  t.test('are appended to when the peer is trusted', async (t) => {
    const { url, upstream, metric } = await startBoth(t, undefined, { identity: { trustedProxies: ['127.0.0.0/8'] } })
    await ask(t, url, get('/', ...lies, 'X-Real-IP: 192.0.2.9'))
    const [request] = upstream.seen
    t.equal(request!.one('x-forwarded-for'), '192.0.2.9, 127.0.0.1')
    t.equal(request!.one('x-forwarded-proto'), 'https')
    t.equal(request!.one('x-forwarded-host'), 'lie.example')
    t.equal(request!.one('x-real-ip'), '192.0.2.9')
    t.equal(await metric('sluice_untrusted_forwarding_total'), 0)
  })

  t.test('cannot be smuggled by their look-alikes', async (t) => {
    const { url, upstream } = await startBoth(t)
    await ask(t, url, get('/', 'X_Forwarded_For: 192.0.2.9', 'X-Forwarded_Proto: https', 'x_other: 1'))
    const names = upstream.seen[0]!.fields.map(([name]) => name.toLowerCase())
    t.notOk(names.some((name) => /_(forwarded|for|proto)/.test(name)))
    t.ok(names.includes('x_other'))
  })
})

t.test('Via is added both ways, and a request that bears ours has come in a circle', async (t) => {
  const { url, upstream } = await startBoth(t, ({ send }) => send(ok('ok', 'Via: 1.0 origin')))
  const answer = await ask(t, url, get('/', 'Via: 1.0 before'))
  const sent = upstream.seen[0]!.one('via')
  t.match(sent, /^1\.0 before, 1\.1 sluice-\w+$/)
  t.match(answer.all('via').join(', '), /^1\.0 origin, 1\.1 sluice-\w+$/)
  const again = await ask(t, url, get('/', `Via: ${sent}`))
  isProblem(t, again, 508)
  t.equal(upstream.seen.length, 1, 'and is not forwarded again')
})

t.test('the upstream may be the proxy itself: the circle ends after one turn', async (t) => {
  const front = await startUpstream(t)
  const test = await startTestApp(t, { upstream: { url: front.url } })
  await front.close()
  // The upstream's port now leads back to the proxy.
  const { createServer, connect } = await import('node:net')
  const pipe = createServer((socket) => {
    const back = connect(Number(new URL(test.url).port), '127.0.0.1')
    socket.on('error', () => back.destroy())
    back.on('error', () => socket.destroy())
    socket.pipe(back).pipe(socket)
  })
  await new Promise<void>((resolve) => pipe.listen(front.port, '127.0.0.1', resolve))
  t.teardown(() => pipe.close())
  isProblem(t, await ask(t, test.url, get()), 508)
  t.equal(await test.metric('sluice_requests_total', { outcome: 'error' }), 1)
  t.equal(await test.metric('sluice_requests_total'), 2)
})

t.test('X-Request-Id', async (t) => {
  t.test('is made anew where the peer is not trusted', async (t) => {
    const { url, upstream } = await startBoth(t)
    for (let i = 0; i < 2; i++) await ask(t, url, get('/', 'X-Request-Id: mine'))
    const ids = upstream.seen.map((request) => request.one('x-request-id'))
    t.notOk(ids.includes('mine'))
    t.equal(new Set(ids).size, 2)
  })

  t.test('is kept from a trusted peer, unless it is no id', async (t) => {
    const { url, upstream } = await startBoth(t, undefined, { identity: { trustedProxies: ['127.0.0.1/32'] } })
    await ask(t, url, get('/', 'X-Request-Id: req-1'))
    await ask(t, url, get('/', 'X-Request-Id: {"a": "b"}'))
    await ask(t, url, get('/', 'X-Request-Id: a', 'X-Request-Id: b'))
    const ids = upstream.seen.map((request) => request.one('x-request-id'))
    t.equal(ids[0], 'req-1')
    for (const id of ids.slice(1)) t.match(id, /^[0-9a-f-]{36}$/)
  })
})

t.test('trace context passes through untouched', async (t) => {
  const { url, upstream } = await startBoth(t)
  const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  await ask(t, url, get('/', `traceparent: ${parent}`, 'tracestate: a=b'))
  t.equal(upstream.seen[0]!.one('traceparent'), parent)
  t.equal(upstream.seen[0]!.one('tracestate'), 'a=b')
})

t.test('an answer arrives as it was given', async (t) => {
  t.test('its status, reason and body', async (t) => {
    const { url } = await startBoth(t, ({ send, request }) =>
      send(`HTTP/1.1 ${request.target.slice(1)} Very Odd\r\nContent-Length: 4\r\n\r\nbody`),
    )
    for (const status of [200, 201, 299, 301, 400, 404, 418, 451, 500, 503, 599, 799]) {
      const answer = await ask(t, url, get(`/${status}`))
      t.equal(answer.status, status)
      t.equal(answer.reason, 'Very Odd')
      t.equal(answer.text, 'body')
    }
  })

  t.test('without a body where there is none: HEAD, 204, 304, an empty 200', async (t) => {
    const { url } = await startBoth(t, ({ send, request }) => {
      if (request.method === 'HEAD') return send('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n')
      if (request.target === '/204') return send('HTTP/1.1 204 No Content\r\n\r\n')
      if (request.target === '/304') return send('HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n')
      send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
    const client = await openClient(t, url)
    client.write('HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n')
    const head = await client.answer('HEAD')
    t.equal(head.one('content-length'), '1234')
    client.write(get('/204'))
    const none = await client.answer()
    t.equal(none.status, 204)
    t.equal(none.one('content-length'), undefined)
    t.equal(none.one('transfer-encoding'), undefined)
    client.write(get('/304'))
    const unchanged = await client.answer()
    t.equal(unchanged.status, 304)
    t.equal(unchanged.one('etag'), '"a"')
    client.write(get('/empty'))
    const empty = await client.answer()
    t.equal(empty.status, 200)
    t.equal(empty.one('content-length'), '0')
    t.equal(empty.text, '')
    t.equal(client.rest().length, 0)
  })

  t.test('without the body that a wrong upstream gives a HEAD or a 204', async (t) => {
    const { url } = await startBoth(t, ({ send, request }) => {
      if (request.method === 'HEAD') return send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody')
      if (request.target === '/204') return send('HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody')
      send(ok('after'))
    })
    const client = await openClient(t, url)
    client.write('HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n')
    t.equal((await client.answer('HEAD')).status, 200)
    client.write(get('/204'))
    t.equal((await client.answer()).status, 204)
    client.write(get('/c'))
    t.equal((await client.answer()).text, 'after', 'nothing of it is taken for the next answer')
  })

  t.test('chunked, to a client of HTTP/1.1 and to one of HTTP/1.0', async (t) => {
    const { url } = await startBoth(t, ({ send }) =>
      send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '3\r\nabc\r\n', '4\r\ndefg\r\n0\r\n\r\n'),
    )
    const modern = await ask(t, url, get())
    t.equal(modern.text, 'abcdefg')
    t.equal(modern.one('transfer-encoding'), 'chunked')
    const old = await openClient(t, url)
    old.write('GET / HTTP/1.0\r\n\r\n')
    const answer = await old.answer()
    t.equal(answer.text, 'abcdefg')
    t.equal(answer.one('transfer-encoding'), undefined)
    t.ok(answer.isWhole)
    t.equal((await old.closed()).error, null)
  })

  t.test('ended by the end of the connection', async (t) => {
    const { url } = await startBoth(t, ({ send, socket }) => {
      send('HTTP/1.0 200 OK\r\n\r\nall of it')
      socket.end()
    })
    const answer = await ask(t, url, get())
    t.equal(answer.text, 'all of it')
    t.ok(answer.isWhole)
  })

  t.test('after informational ones', async (t) => {
    const { url } = await startBoth(t, ({ send }) =>
      send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n', ok('final')),
    )
    const client = await openClient(t, url)
    client.write(get())
    let answer = await client.answer()
    while (answer.status < 200) answer = await client.answer()
    t.equal(answer.text, 'final')
  })
})

t.test('connections are kept on both sides', async (t) => {
  const { url, upstream } = await startBoth(t)
  const client = await openClient(t, url)
  for (let i = 0; i < 5; i++) {
    client.write(i % 2 === 0 ? get(`/${i}`) : post(`/${i}`, 'body'))
    t.equal((await client.answer()).status, 200)
  }
  t.equal(upstream.seen.length, 5)
  t.equal(upstream.sockets.length, 1)
  client.write(get('/last', 'Connection: close'))
  t.equal((await client.answer()).one('connection'), 'close')
  await client.closed()
  await ask(t, url, get('/other'))
  t.equal(upstream.sockets.length, 1, "a client's close is not the upstream's")
})

t.test('an HTTP/1.0 client without Host is served', async (t) => {
  const { url, upstream } = await startBoth(t)
  const client = await openClient(t, url)
  client.write('GET /old HTTP/1.0\r\n\r\n')
  t.equal((await client.answer()).status, 200)
  await client.closed()
  t.equal(upstream.seen[0]!.one('host'), `127.0.0.1:${upstream.port}`)
  t.equal(upstream.seen[0]!.version, 'HTTP/1.1')
  t.match(upstream.seen[0]!.one('via'), /^1\.0 /)
})

t.test('5 MB go up and down whole', async (t) => {
  const { url, upstream } = await startBoth(t, async ({ request, body, send }) => {
    const whole = await body()
    send(`HTTP/1.1 200 OK\r\nX-Sum: ${digest(whole)}\r\nTransfer-Encoding: chunked\r\n\r\n`)
    for (let at = 0; at < whole.length; at += 100_000) {
      const part = whole.subarray(at, at + 100_000)
      send(`${part.length.toString(16)}\r\n`, part, '\r\n')
    }
    send('0\r\n\r\n')
    void request
  })
  const sent = randomBytes(5 * 1024 * 1024)
  for (const framing of ['Content-Length', 'chunked']) {
    const answer = await fetch(url, {
      method: 'POST',
      ...(framing === 'chunked'
        ? { body: new Blob([sent]).stream(), duplex: 'half' as const }
        : { body: new Uint8Array(sent) }),
    })
    t.equal(answer.headers.get('x-sum'), digest(sent), framing)
    t.equal(digest(Buffer.from(await answer.arrayBuffer())), digest(sent), framing)
  }
  t.equal(upstream.seen[0]!.one('content-length'), String(sent.length))
  t.equal(upstream.seen[1]!.one('transfer-encoding'), 'chunked')
})

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

t.test('a slow reader holds the sender back', async (t) => {
  const block = Buffer.alloc(64 * 1024, 'x')
  const total = 64 * 1024 * 1024

  t.test('on the way down', async (t) => {
    let written = 0
    const { url, upstream } = await startBoth(t, ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      const push = () => {
        while (written < total) {
          written += block.length
          if (!socket.write(block)) return void socket.once('drain', push)
        }
      }
      push()
    })
    const client = await openClient(t, url)
    client.socket.pause()
    client.write(get())
    await isSteady(() => upstream.sockets[0]?.bytesWritten ?? 0)
    t.ok(upstream.sockets[0]!.bytesWritten > 0)
    t.ok(upstream.sockets[0]!.bytesWritten < total / 2, `${upstream.sockets[0]!.bytesWritten} of ${total} were taken`)
  })

  t.test('on the way up', async (t) => {
    const { url, upstream } = await startBoth(t, ({ socket }) => void socket.pause())
    const client = await openClient(t, url)
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`)
    let sent = 0
    const push = () => {
      while (sent < total) {
        sent += block.length
        if (!client.socket.write(block)) return void client.socket.once('drain', push)
      }
    }
    push()
    await isSteady(() => client.socket.bytesWritten - client.socket.writableLength)
    t.ok(client.socket.bytesWritten - client.socket.writableLength < total / 2)
    t.equal(upstream.seen.length, 1)
  })

  t.test('and memory stays flat', async (t) => {
    const { url } = await startBoth(t, async ({ socket, body }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      void body
      for (let at = 0; at < total; at += block.length) {
        if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve))
      }
    })
    const gc = collector()
    gc()
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    let received = 0
    let looked = 0
    const [answer] = (await once(httpRequest(url).end(), 'response')) as [IncomingMessage]
    for await (const bytes of answer) {
      received += (bytes as Buffer).length
      if (received < looked + total / 8) continue
      looked = received
      // Twice: what the first one finds is given back by the time of the second.
      gc()
      gc()
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    t.equal(received, total)
    t.ok(looked > 0)
    t.ok(most < total / 4, `at most ${most} bytes were held of ${total}`)
  })
})

/** The engine's garbage collector, so that what is held can be told from what is waste. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** Resolves when a number has been the same, and above 0, for a quarter of a second. */
async function isSteady(read: () => number): Promise<void> {
  let last = -1
  let since = performance.now()
  await eventually('a steady number', () => {
    const now = read()
    if (now !== last || now === 0) {
      last = now
      since = performance.now()
    }
    return performance.now() - since > 250
  })
}

t.test('an event stream arrives event by event, at once', async (t) => {
  const next = [signal(), signal(), signal()]
  const { url } = await startBoth(t, async ({ send }) => {
    send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (const [i, { come }] of next.entries()) {
      await come
      send(`9\r\ndata: ${i}\n\n\r\n`)
    }
    send('0\r\n\r\n')
  })
  const client = await openClient(t, url)
  client.write(get('/events', 'Accept: text/event-stream'))
  await client.until('\r\n\r\n')
  for (const [i, { give }] of next.entries()) {
    t.notOk(client.rest().includes(`data: ${i}`))
    give()
    await client.until(`data: ${i}`)
  }
  t.equal((await client.answer()).text, 'data: 0\n\ndata: 1\n\ndata: 2\n\n')
})

t.test('event streams do not use up max_connections', async (t) => {
  const { url } = await startBoth(
    t,
    ({ send, request }) => {
      if (request.target === '/plain') return send(ok())
      send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    },
    { upstream: { maxConnections: 1, maxQueue: 0, maxStreams: 2 } },
  )
  const streams = []
  for (let i = 0; i < 2; i++) {
    const client = await openClient(t, url)
    client.write(get('/events'))
    await client.until('\r\n\r\n')
    streams.push(client)
  }
  t.equal((await ask(t, url, get('/plain'))).status, 200)
  // The third stream is one too many: it counts as a request, and takes the only place.
  const third = await openClient(t, url)
  third.write(get('/events'))
  await third.until('\r\n\r\n')
  t.equal((await ask(t, url, get('/plain'))).status, 503)
  third.socket.destroy()
  await eventually('the place is free', async () => (await ask(t, url, get('/plain'))).status === 200)
})

t.test('an upstream that answers before the upload has ended', async (t) => {
  t.test('is heard, and the rest is not taken for a request', async (t) => {
    const { url, upstream, idle } = await startBoth(t, ({ send, request }) => {
      send(request.method === 'POST' ? 'HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno' : ok())
    })
    const client = await openClient(t, url)
    client.write('POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n', 'x'.repeat(1000))
    const answer = await client.answer()
    t.equal(answer.status, 413)
    t.equal(answer.text, 'no')
    client.socket.destroy()
    await idle()
    t.equal((await ask(t, url, get('/after'))).status, 200)
    t.equal(upstream.seen.length, 2)
    t.not(
      upstream.seen[1]!.connection,
      upstream.seen[0]!.connection,
      'the connection that owes a body is not used again',
    )
    t.notOk(upstream.seen[0]!.isWhole)
  })

  t.test("and the client's connection goes on in sync", async (t) => {
    const { url } = await startBoth(t, ({ send, request }) => {
      send(request.method === 'POST' ? 'HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno' : ok('second'))
    })
    const client = await openClient(t, url)
    client.write('POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n', 'x'.repeat(1000))
    t.equal((await client.answer()).status, 413)
    client.write('x'.repeat(299_000), get('/second'))
    t.equal((await client.answer()).text, 'second')
  })

  t.test('but an upload without end is cut off', async (t) => {
    const { url } = await startBoth(t, ({ send }) => send('HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno'))
    const client = await openClient(t, url)
    client.write('POST /big HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    const answer = client.answer()
    const block = Buffer.from(`10000\r\n${'x'.repeat(0x10000)}\r\n`)
    let isClosed = false
    client.socket.once('close', () => {
      isClosed = true
    })
    while (!isClosed && client.socket.bytesWritten < 2 ** 33) {
      if (!client.socket.write(block)) await eventually('room', () => isClosed || !client.socket.writableNeedDrain)
    }
    t.ok(isClosed)
    t.equal((await answer).status, 413)
  })
})

t.test('an upstream that cannot be reached', async (t) => {
  t.test('because it refuses: 502, readable across origins', async (t) => {
    const test = await startTestApp(t, { upstream: { url: `http://127.0.0.1:${await closedPort()}` } })
    const answer = await ask(t, test.url, get('/', 'Origin: https://shop.example'))
    isProxyError(t, answer, 502, 'connection_refused')
    t.equal(answer.one('access-control-allow-origin'), '*')
    t.match(answer.json.request_id, /^[0-9a-f-]{36}$/)
    t.equal(answer.one('x-request-id'), answer.json.request_id)
    await test.idle()
    t.equal(await test.metric('sluice_requests_total', { outcome: 'error' }), 1)
    t.equal(await test.metric('sluice_responses_total', { code: '502' }), 1)
  })

  t.test('because its name has no address: 502', async (t) => {
    const { url } = await startTestApp(t, { upstream: { url: 'http://nowhere.invalid:80' } })
    isProxyError(t, await ask(t, url, get()), 502, 'dns_error')
  })

  t.test('a POST gets its 502 as well, and its connection goes on', async (t) => {
    const { url } = await startTestApp(t, { upstream: { url: `http://127.0.0.1:${await closedPort()}` } })
    const client = await openClient(t, url)
    for (const body of ['a', 'b']) {
      client.write(post('/', body))
      isProxyError(t, await client.answer(), 502, 'connection_refused')
    }
    client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n')
    isProxyError(t, await client.answer(), 502, 'connection_refused')
  })

  t.test('a POST of 5 MB gets its 502', async (t) => {
    const { url } = await startTestApp(t, { upstream: { url: `http://127.0.0.1:${await closedPort()}` } })
    const client = await openClient(t, url)
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${5 << 20}\r\n\r\n`, Buffer.alloc(5 << 20))
    isProxyError(t, await client.answer(), 502, 'connection_refused')
    await client.closed()
  })

  t.test('because it accepts no connection: 504', async (t) => {
    const upstream = await startStoppedUpstream(t)
    const { url, metric, idle } = await startTestApp(t, { upstream: { url: upstream.url, connectTimeout: 300 } })
    for (const request of [get(), post('/', 'body')]) {
      isProxyError(t, await ask(t, url, request), 504, 'connection_timeout')
    }
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 2)
  })

  t.test('and comes back: so do the answers', async (t) => {
    const port = await closedPort()
    const { url } = await startTestApp(t, { upstream: { url: `http://127.0.0.1:${port}` } })
    t.equal((await ask(t, url, get())).status, 502)
    await startUpstream(t, undefined, port)
    t.equal((await ask(t, url, get())).status, 200)
  })
})

t.test('an upstream that gives no proper answer', async (t) => {
  const cases: readonly (readonly [name: string, script: (turn: Turn) => void, error: string])[] = [
    ['closes at once', ({ socket }) => socket.end(), 'connection_terminated'],
    ['resets', ({ socket }) => socket.resetAndDestroy(), 'connection_terminated'],
    ['speaks no HTTP', ({ send }) => send('220 smtp.example ESMTP\r\n'), 'http_protocol_error'],
    ['answers binary', ({ send }) => send(Buffer.from([0, 1, 2, 3, 255, 254, 0x0a])), 'http_protocol_error'],
    ['speaks HTTP/9.9', ({ send }) => send('HTTP/9.9 200 OK\r\n\r\n'), 'http_protocol_error'],
    ['has a bad field name', ({ send }) => send(ok('a', 'X Bad: 1')), 'http_protocol_error'],
    ['has a control character', ({ send }) => send(ok('a', 'X-Bad: a\x01b')), 'http_protocol_error'],
    ['has a NUL', ({ send }) => send(ok('a', 'X-Bad: a\0b')), 'http_protocol_error'],
    ['has a bare CR', ({ send }) => send(ok('a', 'X-Bad: a\rX-Split: b')), 'http_protocol_error'],
    ['has DEL', ({ send }) => send(ok('a', 'X-Bad: a\x7fb')), 'http_protocol_error'],
    [
      'frames twice',
      ({ send }) =>
        send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'),
      'http_protocol_error',
    ],
    [
      'has two lengths',
      ({ send }) => send('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'),
      'http_protocol_error',
    ],
    [
      'has a length that is none',
      ({ send }) => send('HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc'),
      'http_protocol_error',
    ],
    ['has status 000', ({ send }) => send('HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n'), 'http_protocol_error'],
    ['has status 099', ({ send }) => send('HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'), 'http_protocol_error'],
    ['has status 1000', ({ send }) => send('HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n'), 'http_protocol_error'],
    [
      'has a control character in its reason',
      ({ send }) => send('HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n'),
      'http_protocol_error',
    ],
    [
      'has a megabyte of header',
      ({ send }) => send(ok('a', ...Array.from({ length: 1000 }, (_, i) => `X-${i}: ${'v'.repeat(1000)}`))),
      'http_response_header_section_size',
    ],
    [
      'has one field of 100 kB',
      ({ send }) => send(ok('a', `X-Long: ${'v'.repeat(100_000)}`)),
      'http_response_header_section_size',
    ],
    [
      'switches protocols unasked',
      ({ send }) => send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
      'connection_terminated',
    ],
  ]
  for (const [name, answer, error] of cases) {
    t.test(`but ${name}: 502`, async (t) => {
      const { url, idle, metric } = await startBoth(
        t,
        (turn) => {
          if (turn.request.target === '/good') return turn.send(ok('good'))
          answer(turn)
        },
        { upstream: { responseTimeout: 5000 } },
      )
      for (const request of [
        get('/bad', 'Origin: https://a.example'),
        post('/bad', 'body', 'Origin: https://a.example'),
      ]) {
        const client = await openClient(t, url)
        client.write(request)
        const found = await client.answer()
        isProxyError(t, found, 502, error)
        t.equal(found.one('access-control-allow-origin'), '*')
        t.equal(client.rest().length, 0, 'nothing comes after it')
        client.write(get('/good'))
        t.equal((await client.answer()).text, 'good', 'the connection goes on')
      }
      await idle()
      t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 2)
    })
  }
})

t.test('an upstream that takes too long to answer: 504', async (t) => {
  const gone = signal()
  const { url, upstream, metric, idle } = await startBoth(t, ({ socket }) => void socket.once('close', gone.give), {
    upstream: { responseTimeout: 300 },
  })
  const client = await openClient(t, url)
  client.write(get('/', 'Origin: https://a.example'))
  isProxyError(t, await client.answer(), 504, 'http_response_timeout')
  await gone.come
  t.equal(upstream.seen.length, 1, 'and is not asked again')
  await idle()
  t.equal(await metric('sluice_responses_total', { code: '504' }), 1)
})

t.test('a client that takes long to send is not an upstream that takes long to answer', async (t) => {
  const { url } = await startBoth(t, undefined, { upstream: { responseTimeout: 500 } })
  const client = await openClient(t, url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n')
  for (const byte of 'long') {
    client.write(byte)
    await delay(400)
  }
  t.equal((await client.answer()).status, 200)
})

t.test('an upstream that breaks off in the middle of its answer', async (t) => {
  const heads = {
    chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    'of known length': 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf',
  }
  for (const [name, half] of Object.entries(heads)) {
    for (const end of ['end', 'resetAndDestroy'] as const) {
      t.test(`${name}, by ${end}: the client sees a broken transfer`, async (t) => {
        const broken = signal()
        const { url, metric, idle } = await startBoth(t, async ({ send, socket }) => {
          send(half)
          await broken.come
          socket[end]()
        })
        const client = await openClient(t, url)
        client.write(get())
        await client.until('half')
        broken.give()
        await client.closed()
        const answer = await client.answer()
        t.equal(answer.status, 200)
        t.notOk(answer.isWhole)
        await idle()
        t.equal(await metric('sluice_requests_total', { outcome: 'error' }), 1)
        t.equal(await metric('sluice_requests_total'), 1)
      })
    }
  }

  t.test('to a client of HTTP/1.0, who has only the end of the connection to go by: it is a reset', async (t) => {
    const broken = signal()
    const { url } = await startBoth(t, async ({ send, socket }) => {
      send(heads.chunked)
      await broken.come
      socket.end()
    })
    const client = await openClient(t, url)
    client.write('GET / HTTP/1.0\r\n\r\n')
    await client.until('half')
    broken.give()
    const { error } = await client.closed()
    t.equal(error?.code, 'ECONNRESET')
  })

  t.test('with a chunk that is none', async (t) => {
    const { url } = await startBoth(t, ({ send }) => send(heads.chunked, 'zz\r\nhm\r\n0\r\n\r\n'))
    const client = await openClient(t, url)
    client.write(get())
    t.notOk((await client.answer()).isWhole)
    await client.closed()
  })

  t.test('by falling silent', async (t) => {
    const { url } = await startBoth(t, ({ send }) => send(heads.chunked), { upstream: { idleTimeout: 300 } })
    const client = await openClient(t, url)
    client.write(get())
    t.notOk((await client.answer()).isWhole)
    await client.closed()
  })
})

t.test('when all connections are busy', async (t) => {
  t.test('requests wait in order, and beyond max_queue get 503', async (t) => {
    const turns: Turn[] = []
    const { url, upstream, metric, idle } = await startBoth(t, (turn) => void turns.push(turn), {
      upstream: { maxConnections: 2, maxQueue: 2 },
    })
    const clients = []
    for (let i = 0; i < 4; i++) {
      const client = await openClient(t, url)
      client.write(get(`/${i}`))
      clients.push(client)
      if (i < 2) await eventually('it is under way', () => turns.length === i + 1)
      else await eventually('it waits', async () => (await metric('sluice_inflight_requests')) === i + 1)
    }
    t.equal(upstream.seen.length, 2)
    const refused = await ask(t, url, get('/5', 'Origin: https://a.example'))
    isProxyError(t, refused, 503, 'connection_limit_reached')
    t.ok(Number(refused.one('retry-after')) >= 1)
    t.equal(refused.one('access-control-allow-origin'), '*')
    for (let i = 0; i < 4; i++) {
      await eventually('the next is under way', () => turns.length > i)
      turns[i]!.send(ok(`answer ${i}`))
      t.equal((await clients[i]!.answer()).text, `answer ${i}`)
    }
    await idle()
    t.equal(upstream.seen.length, 4)
    t.same(
      upstream.seen.map(({ target }) => target),
      ['/0', '/1', '/2', '/3'],
    )
  })

  t.test('a client that leaves while it waits leaves the queue', async (t) => {
    const turns: Turn[] = []
    const { url, upstream, metric, idle } = await startBoth(t, (turn) => void turns.push(turn), {
      upstream: { maxConnections: 1, maxQueue: 1 },
    })
    const first = await openClient(t, url)
    first.write(get('/first'))
    await eventually('the first is under way', () => turns.length === 1)
    const leaving = await openClient(t, url)
    leaving.write(get('/leaving'))
    await eventually('it waits', async () => (await metric('sluice_inflight_requests')) === 2)
    leaving.socket.destroy()
    await eventually('it has left', async () => (await metric('sluice_inflight_requests')) === 1)
    const next = await openClient(t, url)
    next.write(get('/next'))
    await eventually('the place is taken again', async () => (await metric('sluice_inflight_requests')) === 2)
    turns[0]!.send(ok())
    t.equal((await first.answer()).status, 200)
    await eventually('the next is under way', () => turns.length === 2)
    turns[1]!.send(ok('next'))
    t.equal((await next.answer()).text, 'next')
    await idle()
    t.same(
      upstream.seen.map(({ target }) => target),
      ['/first', '/next'],
    )
    t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
  })
})

t.test('a pooled connection that has died meanwhile', async (t) => {
  for (const end of ['end', 'resetAndDestroy'] as const) {
    t.test(`a GET is sent once more (${end})`, async (t) => {
      const { url, upstream, metric } = await startBoth(t, ({ send, request, socket }) => {
        if (request.connection === 0 && request.target === '/second') return void socket[end]()
        send(ok(request.target))
      })
      t.equal((await ask(t, url, get('/first'))).text, '/first')
      t.equal(await metric('sluice_upstream_retries_total'), 0)
      t.equal((await ask(t, url, get('/second'))).text, '/second')
      t.same(
        upstream.seen.map(({ target, connection }) => [target, connection]),
        [
          ['/first', 0],
          ['/second', 0],
          ['/second', 1],
        ],
      )
      t.equal(await metric('sluice_upstream_retries_total'), 1)
    })

    t.test(`but once only (${end})`, async (t) => {
      const { url, upstream } = await startBoth(t, ({ send, request, socket }) => {
        if (request.target === '/second') return void socket[end]()
        send(ok(request.target))
      })
      await ask(t, url, get('/first'))
      isProxyError(t, await ask(t, url, get('/second')), 502, 'connection_terminated')
      t.equal(upstream.seen.filter(({ target }) => target === '/second').length, 2)
    })

    t.test(`nor an OPTIONS, a PUT or a DELETE without a body (${end})`, async (t) => {
      for (const method of ['OPTIONS', 'PUT', 'DELETE']) {
        const { url, upstream, metric } = await startBoth(t, ({ send, request, socket }) => {
          if (request.target === '/second') return void socket[end]()
          send(ok(request.target))
        })
        await ask(t, url, get('/first'))
        const answer = await ask(t, url, get('/second').replace('GET', method))
        isProxyError(t, answer, 502, 'connection_terminated')
        t.equal(upstream.seen.length, 2, method)
        t.equal(await metric('sluice_upstream_retries_total'), 0)
      }
    })

    t.test(`and never a POST, nor a PUT with its body, nor a PATCH (${end})`, async (t) => {
      for (const method of ['POST', 'PUT', 'PATCH']) {
        const { url, upstream } = await startBoth(t, async ({ send, request, socket, body }) => {
          await body()
          if (request.connection === 0 && request.target === '/second') return void socket[end]()
          send(ok(request.target))
        })
        await ask(t, url, get('/first'))
        const answer = await ask(t, url, post('/second', 'body').replace('POST', method))
        isProxyError(t, answer, 502, 'connection_terminated')
        t.equal(upstream.seen.length, 2, method)
      }
    })
  }

  t.test('nor a POST without a body', async (t) => {
    const { url, upstream } = await startBoth(t, ({ send, request, socket }) => {
      if (request.target === '/second') return void socket.end()
      send(ok())
    })
    await ask(t, url, get('/first'))
    t.equal((await ask(t, url, post('/second', ''))).status, 502)
    t.equal(upstream.seen.length, 2)
  })

  t.test('a fresh connection that closes is no stale one: the request is not repeated', async (t) => {
    const { url, upstream } = await startBoth(t, ({ socket }) => void socket.end())
    t.equal((await ask(t, url, get())).status, 502)
    t.equal(upstream.seen.length, 1)
  })

  t.test('nor one that closes in the middle of the header of its first answer', async (t) => {
    const { url, upstream } = await startBoth(t, ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\nX-'))
    t.equal((await ask(t, url, get())).status, 502)
    t.equal(upstream.seen.length, 1)
  })

  t.test('nor a pooled one that has begun to answer', async (t) => {
    const { url, upstream } = await startBoth(t, ({ send, request, socket }) => {
      if (request.target === '/second') return void socket.end('HTTP/1.1 200 OK\r\nX-')
      send(ok())
    })
    await ask(t, url, get('/first'))
    t.equal((await ask(t, url, get('/second'))).status, 502)
    t.equal(upstream.seen.length, 2)
  })

  t.test('one that closed before it was needed is not used', async (t) => {
    const { url, upstream } = await startBoth(t, ({ send, socket }) => {
      send(ok())
      socket.end()
    })
    for (const body of ['a', 'b', 'c']) {
      t.equal((await ask(t, url, post('/', body))).status, 200)
      const socket = upstream.sockets.at(-1)!
      if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve))
    }
    t.equal(upstream.sockets.length, 3)
  })
})

t.test('a client that goes takes its request along, within a second', async (t) => {
  /** Runs until the upstream has lost the connection of the request; gives the milliseconds since `leave`. */
  async function cancelledAfter(turn: Turn, leave: () => void): Promise<number> {
    const closed = new Promise((resolve) => turn.socket.once('close', resolve))
    const began = performance.now()
    leave()
    await closed
    return performance.now() - began
  }

  for (const leave of ['destroy', 'resetAndDestroy'] as const) {
    t.test(`while it waits for the header (${leave})`, async (t) => {
      const asked = signal<Turn>()
      const { url, metric, idle } = await startBoth(t, asked.give)
      const client = await openClient(t, url)
      client.write(get())
      t.ok((await cancelledAfter(await asked.come, () => client.socket[leave]())) < 1000)
      await idle()
      t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
      t.equal(await metric('sluice_requests_total'), 1)
      t.equal(await metric('sluice_responses_total'), 0)
    })

    t.test(`in the middle of the answer (${leave})`, async (t) => {
      const asked = signal<Turn>()
      const { url, metric, idle } = await startBoth(t, (turn) => {
        turn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
        asked.give(turn)
      })
      const client = await openClient(t, url)
      client.write(get())
      await client.until('abc')
      t.ok((await cancelledAfter(await asked.come, () => client.socket[leave]())) < 1000)
      await idle()
      t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
      t.equal(await metric('sluice_requests_total'), 1)
    })

    t.test(`in the middle of the upload (${leave})`, async (t) => {
      const asked = signal<Turn>()
      const { url, metric, idle } = await startBoth(t, asked.give)
      const client = await openClient(t, url)
      client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf')
      const turn = await asked.come
      await eventually('half of it is here', () => turn.socket.bytesRead > 4)
      t.ok((await cancelledAfter(turn, () => client.socket[leave]())) < 1000)
      t.notOk(turn.request.isWhole)
      await idle()
      t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
      t.equal(await metric('sluice_requests_total'), 1)
    })
  }

  t.test('while the connection is not there yet', async (t) => {
    const upstream = await startStoppedUpstream(t)
    const { url, metric, idle } = await startTestApp(t, { upstream: { url: upstream.url, connectTimeout: 20_000 } })
    const client = await openClient(t, url)
    client.write(get('/gone'))
    await eventually('it is under way', async () => (await metric('sluice_inflight_requests')) === 1)
    const began = performance.now()
    client.socket.destroy()
    await idle()
    t.ok(performance.now() - began < 1000)
    t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
    upstream.wake()
    t.equal((await ask(t, url, get('/after'))).status, 200)
    t.match(upstream.received(), 'GET /after')
    t.notMatch(upstream.received(), 'GET /gone')
  })

  t.test('while it does not read: an endless answer to a full window', async (t) => {
    const asked = signal<Turn>()
    const { url } = await startBoth(t, (turn) => {
      turn.send('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n', Buffer.alloc(20 << 20))
      asked.give(turn)
    })
    const client = await openClient(t, url)
    client.socket.pause()
    client.write(get())
    const turn = await asked.come
    await isSteady(() => turn.socket.bytesWritten - turn.socket.writableLength)
    t.ok((await cancelledAfter(turn, () => client.socket.destroy())) < 1000)
  })

  t.test('and its place is free again', async (t) => {
    const turns: Turn[] = []
    const { url, idle } = await startBoth(t, (turn) => void turns.push(turn), {
      upstream: { maxConnections: 1, maxQueue: 0 },
    })
    for (let i = 0; i < 3; i++) {
      const client = await openClient(t, url)
      client.write(get())
      await eventually('it is under way', () => turns.length === i + 1)
      client.socket.destroy()
      await idle()
    }
    const last = await openClient(t, url)
    last.write(get())
    await eventually('it is under way', () => turns.length === 4)
    turns[3]!.send(ok('last'))
    t.equal((await last.answer()).text, 'last')
  })
})

t.test('pipelined requests are answered in order', async (t) => {
  const { url, upstream } = await startBoth(t, ({ send, request }) => send(ok(request.target)), { limits: [AMPLE] })
  const client = await openClient(t, url)
  client.write(get('/1'), post('/2', 'two'), get('/3'))
  for (const target of ['/1', '/2', '/3']) t.equal((await client.answer()).text, target)
  t.equal(upstream.seen.length, 3)
})

t.test('what a client of HTTP may ask of a proxy', async (t) => {
  t.test('OPTIONS * goes on as such', async (t) => {
    const { url, upstream } = await startBoth(t)
    t.equal((await ask(t, url, 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200)
    t.equal(upstream.seen[0]?.target, '*')
  })

  t.test('the head goes on before the first byte of a body that is too long to be held back', async (t) => {
    const { url, upstream } = await startBoth(t)
    const client = await openClient(t, url)
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
    await eventually('the head is there', () => upstream.seen.length === 1, 500)
  })

  t.test('103 Early Hints are passed on', async (t) => {
    const { url } = await startBoth(t, ({ send }) => send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', ok()))
    const client = await openClient(t, url)
    client.write(get())
    t.equal((await client.answer()).status, 103)
  })

  t.test('trailers are passed on, both ways', async (t) => {
    const { url, upstream } = await startBoth(t, ({ send }) =>
      send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\nX-T: 1\r\n\r\n'),
    )
    const client = await openClient(t, url)
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-S: 1\r\n\r\n',
    )
    const answer = await client.answer()
    t.match(answer.trailers, 'X-T: 1')
    t.equal(upstream.seen.length, 1)
  })
})
