import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { eventually, type PolicyChanges, startTestApp } from '../../fixtures/app.ts'
import { ask, get, openClient, post } from '../../fixtures/raw-client.ts'
import { ok, startUpstream, type Turn } from '../../fixtures/upstream.ts'

async function startBoth(
  t: Test,
  script: (turn: Turn) => void | Promise<void>,
  upstreamChanges: PolicyChanges['upstream'] = {},
) {
  const upstream = await startUpstream(t, script)
  const test = await startTestApp(t, { upstream: { url: upstream.url, ...upstreamChanges } })
  return { upstream, ...test }
}

/** The connections that requests came over. */
const connectionsOf = ({ seen }: { seen: readonly { readonly connection: number }[] }) =>
  seen.map(({ connection }) => connection)

t.test('an idle connection is closed after keep_alive_timeout, not before', async (t) => {
  const { url, upstream } = await startBoth(t, ({ send }) => send(ok()), { keepAliveTimeout: 600 })
  await ask(t, url, get())
  const began = performance.now()
  await ask(t, url, get())
  const idle = performance.now()
  t.equal(upstream.sockets.length, 1)
  await eventually('it is closed', () => upstream.sockets[0]!.destroyed)
  t.ok(performance.now() - began >= 600)
  t.ok(performance.now() - idle < 3000)
  t.equal((await ask(t, url, post('/', 'body'))).status, 200)
  t.equal(upstream.sockets.length, 2)
})

t.test('a second before the upstream would close it by its Keep-Alive', async (t) => {
  for (const [hint, isKept] of [
    ['timeout=0', false],
    ['timeout=1', false],
    ['max=5, timeout=2', true],
    ['timeout=60', true],
  ] as const) {
    const { url, upstream } = await startBoth(t, ({ send }) => send(ok('a', `Keep-Alive: ${hint}`)))
    await ask(t, url, get())
    await ask(t, url, get())
    t.same(connectionsOf(upstream), isKept ? [0, 0] : [0, 1], hint)
    if (hint !== 'max=5, timeout=2') continue
    const began = performance.now()
    await eventually('it is closed', () => upstream.sockets[0]!.destroyed)
    t.ok(performance.now() - began < 1900, 'well before two seconds')
  }
})

t.test('the connection used last is used first', async (t) => {
  const turns: Turn[] = []
  const { url, upstream } = await startBoth(t, (turn) => void turns.push(turn))
  const answers = ['/a', '/b'].map((target) => ask(t, url, get(target)))
  await eventually('both are under way', () => turns.length === 2)
  for (const turn of turns) {
    turn.send(ok())
    await answers[turns.indexOf(turn)]
    await delay(20)
  }
  for (let i = 0; i < 3; i++) {
    const answer = ask(t, url, get())
    await eventually('it is there', () => turns.length === 3 + i)
    turns.at(-1)!.send(ok())
    await answer
  }
  t.same(connectionsOf(upstream).slice(2), [1, 1, 1])
})

t.test('a connection that does not stay in step is not used again', async (t) => {
  const cases: Record<string, (turn: Turn) => void> = {
    'bytes behind the answer': ({ send }) => send(`${ok()}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`),
    'bytes on the idle connection': ({ send }) => {
      send(ok())
      setTimeout(() => send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), 20)
    },
    'Connection: close': ({ send }) => send(ok('ok', 'Connection: close')),
    'an answer of HTTP/1.0': ({ send }) => send('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    'a 304 that tells of a body': ({ send }) => {
      send('HTTP/1.1 304 Not Modified\r\nContent-Length: 49\r\n\r\n')
      setTimeout(() => send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), 20)
    },
    'a 204 with a length': ({ send }) => send('HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n'),
    'an answer before the request’s end': ({ send }) => send(ok()),
  }
  for (const [name, first] of Object.entries(cases)) {
    t.test(name, async (t) => {
      const { url, upstream } = await startBoth(t, (turn) => (turn.nth === 0 ? first(turn) : turn.send(ok('good'))))
      const client = await openClient(t, url)
      const isEarly = name.startsWith('an answer before')
      // Longer than what is held back until it is whole.
      client.write(isEarly ? post('/', 'x'.repeat(100_000)).slice(0, -1) : get())
      t.ok((await client.answer()).status < 400)
      await delay(60)
      client.write(isEarly ? 'y' : '', post('/', 'next'))
      t.equal((await client.answer()).text, 'good')
      t.same(connectionsOf(upstream), [0, 1])
    })
  }
})

t.test('what is answered to HEAD with a body does not become the next answer', async (t) => {
  const { url } = await startBoth(t, ({ send, request }) => {
    send('HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n')
    if (request.method === 'HEAD') setTimeout(() => send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), 5)
    else send('x'.repeat(42))
  })
  const client = await openClient(t, url)
  for (let i = 0; i < 5; i++) {
    client.write('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
    t.equal((await client.answer('HEAD')).status, 200)
    client.write(get())
    t.equal((await client.answer()).text, 'x'.repeat(42))
  }
})

t.test('an upstream that does not read is given up after idle_timeout', async (t) => {
  const { url } = await startBoth(t, ({ socket }) => void socket.pause(), { idleTimeout: 400 })
  const client = await openClient(t, url)
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${1 << 28}\r\n\r\n`)
  const block = Buffer.alloc(1 << 20)
  const began = performance.now()
  for (let i = 0; i < 64; i++) client.socket.write(block)
  const answer = await client.answer()
  t.equal(answer.status, 504)
  t.match(answer.one('proxy-status'), 'connection_write_timeout')
  t.ok(performance.now() - began >= 400)
})

t.test(
  'a client that reads nothing loses its connection after idle_timeout, and the upstream its request',
  async (t) => {
    const turns: Turn[] = []
    const { url, metric, idle } = await startBoth(
      t,
      (turn) => {
        turns.push(turn)
        turn.send(`HTTP/1.1 200 OK\r\nContent-Length: ${1 << 30}\r\n\r\n`, Buffer.alloc(32 << 20))
      },
      { idleTimeout: 500 },
    )
    const client = await openClient(t, url)
    client.socket.pause()
    client.write(get())
    await eventually('it is under way', () => turns.length === 1)
    await eventually('it is given up', () => turns[0]!.socket.destroyed)
    await idle()
    t.equal(await metric('sluice_requests_total', { outcome: 'aborted' }), 1)
  },
)

t.test('a header that trickles in is late as a whole', async (t) => {
  const { url } = await startBoth(
    t,
    async ({ send, socket }) => {
      send('HTTP/1.1 200 OK\r\n')
      for (let i = 0; !socket.destroyed && i < 100; i++) {
        send(`X-${i}: 1\r\n`)
        await delay(50)
      }
    },
    { responseTimeout: 400 },
  )
  const began = performance.now()
  t.equal((await ask(t, url, get())).status, 504)
  t.ok(performance.now() - began >= 400)
})

t.test('trailers that frame, route or authenticate stay behind, both ways', async (t) => {
  const raw: string[] = []
  const { url } = await startBoth(t, ({ send, socket, request }) => {
    socket.on('data', (bytes) => raw.push(bytes.toString('latin1')))
    const lines = 'X-Sum: 1\r\nSet-Cookie: a=b\r\nCache-Control: public\r\nConnection: close\r\nRateLimit: "x";r=9\r\n'
    if (request.target === '/down')
      send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n${lines}\r\n`)
    else setTimeout(() => send(ok()), 200)
  })
  const down = await ask(t, url, get('/down'))
  t.equal(down.text, 'ab')
  t.equal(down.trailers, 'X-Sum: 1')
  const lines = [
    'X-Sum: 2',
    'Authorization: x',
    'X-Forwarded-For: 192.0.2.1',
    'X_Forwarded_For: 192.0.2.1',
    'Host: evil',
    'Cookie: a=b',
  ]
  const client = await openClient(t, url)
  client.write('POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
  await delay(100)
  client.write(`0\r\n${lines.join('\r\n')}\r\n\r\n`)
  t.equal((await client.answer()).status, 200)
  const body = raw.join('').split('\r\n\r\n').slice(1).join('\r\n\r\n')
  t.match(body, /0\r\nX-Sum: 2\r\n\r\n$/)
  t.notMatch(body, /authorization|forwarded|cookie|evil/i)
})
