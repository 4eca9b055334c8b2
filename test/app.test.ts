import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import t, { type Test } from 'tap'
import { startApp } from '../src/app.ts'
import { SluiceError } from '../src/errors.ts'
import { createLog } from '../src/log.ts'
import { eventually, manualClock, type PolicyChanges, policyWith, signal, startTestApp } from './fixtures/app.ts'
import { limitOf } from './fixtures/policy.ts'
import { ask, get, openClient } from './fixtures/raw-client.ts'
import { ok, startUpstream, type Turn } from './fixtures/upstream.ts'
import { switching, UPGRADE } from './fixtures/web-socket.ts'

const TWICE = limitOf({ rate: { tokens: 1, seconds: 60 }, burst: 2 })

async function startBoth(t: Test, changes: PolicyChanges = {}, script?: (turn: Turn) => void | Promise<void>) {
  const upstream = await startUpstream(t, script)
  const clock = manualClock()
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url, ...changes.upstream } }, { clock })
  return { upstream, clock, ...test }
}

async function statuses(t: Test, url: string, times: number): Promise<number[]> {
  const found = []
  for (let i = 0; i < times; i++) found.push((await ask(t, url, get())).status)
  return found
}

/** Whether anybody listens on the port of a URL. */
async function isOpen(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  }).then((isThere) => {
    socket.destroy()
    return isThere as boolean
  })
}

const READ_AT_START = 'these keys are read at the start only: restart to change them'

t.test('a reload', async (t) => {
  t.test('keeps balances', async (t) => {
    const { app, url, policy } = await startBoth(t, { limits: [TWICE] })
    t.same(await statuses(t, url, 3), [200, 200, 429])
    for (let i = 0; i < 10; i++) app.reload({ ...policy, hash: `${i}` })
    t.same(await statuses(t, url, 1), [429])
  })

  t.test('that raises the burst admits at once', async (t) => {
    const { app, url, policy } = await startBoth(t, { limits: [TWICE] })
    t.same(await statuses(t, url, 3), [200, 200, 429])
    app.reload({ ...policy, limits: [{ ...TWICE, burst: 4, newcomers: { ...TWICE.newcomers!, burst: 8 } }] })
    t.same(await statuses(t, url, 3), [200, 200, 429])
  })

  t.test('that raises the rate shortens the wait', async (t) => {
    const { app, url, policy } = await startBoth(t, { limits: [TWICE] })
    await statuses(t, url, 2)
    t.equal((await ask(t, url, get())).one('retry-after'), '60')
    app.reload({ ...policy, limits: [{ ...TWICE, rate: { tokens: 1, seconds: 5 } }] })
    t.equal((await ask(t, url, get())).one('retry-after'), '5')
  })

  t.test('that lowers the burst clamps', async (t) => {
    const { app, url, clock, policy } = await startBoth(t, { limits: [limitOf({ ...TWICE, burst: 10 })] })
    t.same(await statuses(t, url, 1), [200])
    app.reload({ ...policy, limits: [{ ...TWICE, burst: 1 }] })
    t.same(await statuses(t, url, 1), [429])
    clock.advance(60_000)
    t.same(await statuses(t, url, 2), [200, 429])
  })

  t.test('keeps a secret that was made at random: the same client, the same bucket', async (t) => {
    const { app, url, policy } = await startBoth(t, { limits: [TWICE] })
    t.same(await statuses(t, url, 3), [200, 200, 429])
    app.reload({ ...policy, identity: { ...policy.identity, secrets: ['another-one-made-at-random-000000'] } })
    t.same(await statuses(t, url, 1), [429])
    app.reload({ ...policy, identity: { ...policy.identity, secrets: ['a-third-made-at-random-0000000000'] } })
    t.same(await statuses(t, url, 1), [429])
  })

  t.test('keeps the secret it started with, for another one would name every bucket anew, and says so', async (t) => {
    const { app, url, policy, logged } = await startBoth(t, { limits: [TWICE] })
    t.same(await statuses(t, url, 3), [200, 200, 429])
    const secrets = ['set-on-purpose-set-on-purpose-000'] as const
    app.reload({ ...policy, identity: { ...policy.identity, secrets, secretIsRandom: false } })
    t.same(await statuses(t, url, 1), [429])
    t.same(logged(READ_AT_START)[0]?.keys, ['identity.secret'])
  })

  t.test('says which of its changes need a restart', async (t) => {
    const { app, policy, logged } = await startBoth(t)
    app.reload({ ...policy, server: { ...policy.server, drainTimeout: 1 } })
    t.same(logged(READ_AT_START), [])
    app.reload({
      ...policy,
      upstream: { ...policy.upstream, url: 'http://127.0.0.1:1' },
      server: { ...policy.server, maxHeaders: 7 },
      log: { ...policy.log, level: 'debug' },
    })
    t.same(logged(READ_AT_START)[0]?.keys, ['upstream', 'server', 'log.level'])
  })

  t.test('is shown, and so is one that failed', async (t) => {
    const { app, policy, metric, logged } = await startBoth(t, { limits: [TWICE] })
    t.equal(await metric('sluice_config_reloads_total', { result: 'success' }), 1)
    app.refuseReload()
    t.equal(await metric('sluice_config_last_reload_successful'), 0)
    t.equal(await metric('sluice_config_reloads_total', { result: 'failure' }), 1)
    app.reload({ ...policy, hash: 'next', limits: [{ ...TWICE, name: 'other', burst: 7 }] })
    t.equal(await metric('sluice_config_last_reload_successful'), 1)
    t.equal(await metric('sluice_config_reloads_total', { result: 'success' }), 2)
    t.equal(await metric('sluice_limit_burst', { limit: 'other' }), 7)
    t.equal(await metric('sluice_limit_burst', { limit: 'device' }), 0, 'a limit that is gone is not shown')
    t.match(logged('policy in force')[0], { policy: 'next', limits: 1 })
  })
})

t.test('close', async (t) => {
  t.test('finishes what is under way, and takes nothing new', async (t) => {
    const asked = signal<Turn>()
    const { app, url, adminUrl } = await startBoth(t, { server: { drainTimeout: 20_000 } }, asked.give)
    const idle = await openClient(t, url)
    const client = await openClient(t, url)
    client.write(get())
    const turn = await asked.come
    let isClosed = false
    const closing = app.close().then(() => {
      isClosed = true
    })
    t.equal(app.close(), app.close(), 'a second call gives the same promise')
    await idle.closed()
    t.notOk(await isOpen(url), 'no new connection is taken')
    t.ok(await isOpen(adminUrl), 'the admin port is there to the end')
    t.notOk(isClosed)
    turn.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    await client.until('abc')
    t.notOk(isClosed)
    turn.send('0\r\n\r\n')
    const answer = await client.answer()
    t.equal(answer.text, 'abc')
    t.ok(answer.isWhole)
    await closing
    t.notOk(await isOpen(adminUrl))
    await eventually('the connection to the upstream is closed', () => turn.socket.destroyed)
  })

  t.test('goes on serving during drain_delay, not ready', async (t) => {
    const { app, url, adminUrl } = await startBoth(t, { server: { drainDelay: 400, drainTimeout: 5000 } })
    const began = performance.now()
    const closing = app.close()
    t.equal((await fetch(`${adminUrl}/readyz`)).status, 503)
    t.equal((await ask(t, url, get())).status, 200, 'who has not noticed yet is served')
    await closing
    t.ok(performance.now() - began >= 390)
    t.notOk(await isOpen(url))
  })

  t.test('cuts an upgrade that waits for its turn behind an answer without an end', async (t) => {
    const { app, url } = await startBoth(t, { server: { drainTimeout: 300 } }, (turn) => {
      turn.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    })
    const client = await openClient(t, url)
    client.write(get('/sse'), get('/ws', 'Connection: Upgrade', 'Upgrade: websocket'))
    await client.until('abc')
    const began = performance.now()
    await app.close()
    t.ok(performance.now() - began < 3000)
  })

  t.test('cuts after drain_timeout what does not end', async (t) => {
    const turns: Turn[] = []
    const { app, url, logged } = await startBoth(t, { server: { drainTimeout: 300 } }, (turn) => {
      turns.push(turn)
      if (turn.request.target === '/half') turn.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
      if (turn.request.target === '/tunnel') {
        turn.send(switching())
      }
    })
    const clients = []
    for (const request of [
      get('/silent'),
      get('/half'),
      get('/tunnel', ...UPGRADE),
      get('/handshake', ...UPGRADE),
      get('/h2c', 'Connection: Upgrade', 'Upgrade: h2c'),
    ]) {
      const client = await openClient(t, url)
      client.write(request)
      clients.push(client)
      await eventually('it is under way', () => turns.length === clients.length)
    }
    await clients[2]!.until('101')
    const began = performance.now()
    await app.close()
    const took = performance.now() - began
    t.ok(took >= 290 && took < 2000, `${took} ms`)
    for (const client of clients) await client.closed()
    for (const turn of turns) await eventually('the upstream is told', () => turn.socket.destroyed)
    t.same(
      logged('request')
        .map(({ outcome }) => outcome)
        .sort(),
      ['aborted', 'aborted', 'aborted', 'aborted', 'forwarded'],
    )
  })

  t.test('drops connections that are kept alive', async (t) => {
    const { app, url } = await startBoth(t, { server: { drainTimeout: 20_000 } })
    const client = await openClient(t, url)
    client.write(get())
    await client.answer()
    const began = performance.now()
    await app.close()
    t.ok(performance.now() - began < 2000)
    await client.closed()
  })

  t.test('tells a client that never pauses to go, when all that it has sent is answered', async (t) => {
    const turns: Turn[] = []
    const { app, url } = await startBoth(
      t,
      { limits: [], server: { drainTimeout: 20_000 } },
      (turn) => void turns.push(turn),
    )
    const one = await openClient(t, url)
    one.write(get('/one'))
    await eventually('it is under way', () => turns.length === 1)
    const three = await openClient(t, url)
    three.write(get('/1'), get('/2'), get('/3'))
    await eventually('the first of the three is in flight', () => turns.length === 2)
    const closing = app.close()
    const sendLast = () => turns.at(-1)!.send(ok(turns.at(-1)!.request.target))
    turns[0]!.send(ok('/one'))
    // Pipelined requests reach the upstream one after the other.
    for (const count of [2, 3, 4]) {
      await eventually(`${count} requests have reached the upstream`, () => turns.length === count)
      sendLast()
    }
    const answer = await one.answer()
    t.equal(answer.text, '/one')
    t.equal(answer.one('connection'), 'close')
    for (const target of ['/1', '/2', '/3']) t.equal((await three.answer()).text, target)
    for (const client of [one, three]) t.equal((await client.closed()).error, null)
    await closing
  })

  t.test('tells so with a refusal as well', async (t) => {
    const { app, url } = await startBoth(t, { limits: [TWICE], server: { drainTimeout: 20_000 } })
    const client = await openClient(t, url)
    client.write('GET / HTTP/1.1\r\nHost')
    await new Promise((resolve) => client.socket.write(': a\r\n', resolve))
    await statuses(t, url, 2)
    const closing = app.close()
    client.write('\r\n')
    const answer = await client.answer()
    t.equal(answer.status, 429)
    t.equal(answer.one('connection'), 'close')
    await closing
  })

  t.test('ends at once when nothing is under way, and again', async (t) => {
    const { app } = await startBoth(t)
    await app.close()
    await app.close()
  })
})

t.test('a port that is taken', async (t) => {
  async function takePort(t: Test): Promise<number> {
    const server: Server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
    return (server.address() as { port: number }).port
  }
  async function freePort(): Promise<number> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  const log = createLog({ level: 'silent' })

  for (const taken of ['listen', 'admin'] as const) {
    t.test(`(${taken}) is told, and nothing is left open`, async (t) => {
      const port = await takePort(t)
      const other = await freePort()
      const policy = policyWith({
        [taken]: { host: '127.0.0.1', port },
        [taken === 'listen' ? 'admin' : 'listen']: { host: '127.0.0.1', port: other },
      })
      const before = process.getActiveResourcesInfo().sort()
      const failure = await startApp(policy, { log, version: '0' }).then(
        () => null,
        (cause: unknown) => cause,
      )
      t.ok(failure instanceof SluiceError)
      t.match(failure, { code: 'listen_failed', message: new RegExp(`^${taken}: .*127\\.0\\.0\\.1:${port}.*taken`) })
      t.notOk(await isOpen(`http://127.0.0.1:${other}`))
      await eventually('nothing is left', () => {
        const after = process.getActiveResourcesInfo().sort()
        return after.length <= before.length
      })
      const again = await startApp(policyWith({ listen: { host: '127.0.0.1', port: other } }), { log, version: '0' })
      await again.close()
    })
  }
})

t.test('two applications in one process do not meet', async (t) => {
  const one = await startBoth(t, { limits: [TWICE] })
  const two = await startBoth(t, { limits: [TWICE] })
  t.same(await statuses(t, one.url, 3), [200, 200, 429])
  t.same(await statuses(t, two.url, 3), [200, 200, 429])
  t.equal(await one.metric('sluice_requests_total'), 3)
  t.match((await ask(t, one.url, get())).one('ratelimit'), '"device"')
})

t.test('an IPv6 listener shows in its URL as it is written there', async (t) => {
  const { app, url, upstream } = await startBoth(t, { listen: { host: '::1', port: 0 } })
  t.match(url, /^http:\/\/\[::1\]:\d+$/)
  const answer = await fetch(url)
  t.equal(await answer.text(), 'ok')
  t.equal(upstream.seen[0]!.one('x-forwarded-for'), '::1')
  await app.close()
})

t.test('the upstream sees one request for each that was admitted, under load', async (t) => {
  const { url, upstream, metric, idle } = await startBoth(
    t,
    { limits: [limitOf({ rate: TWICE.rate, burst: 50, newcomers: null })] },
    ({ send }) => send(ok()),
  )
  const answers = await Promise.all(Array.from({ length: 200 }, () => ask(t, url, get())))
  t.equal(answers.filter(({ status }) => status === 200).length, 50)
  t.equal(answers.filter(({ status }) => status === 429).length, 150)
  t.equal(upstream.seen.length, 50)
  await idle()
  t.equal(await metric('sluice_requests_total', { outcome: 'limited' }), 150)
})
