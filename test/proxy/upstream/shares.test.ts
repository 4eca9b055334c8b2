import t, { type Test } from 'tap'
import { eventually, type PolicyChanges, startTestApp } from '../../fixtures/app.ts'
import { ask, get, openClient } from '../../fixtures/raw-client.ts'
import { isProblem } from '../../fixtures/through.ts'
import { ok, startUpstream, type Turn } from '../../fixtures/upstream.ts'

const OTHER = { localAddress: '127.0.0.2' }
const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'
const UPGRADE = get(
  '/ws',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
)
const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'

/** An upstream that answers `/held` when it is told to, `/events` with a stream, `/ws` with a tunnel, all else at once. */
async function startHolding(t: Test, changes: PolicyChanges['upstream'] = {}) {
  const held: Turn[] = []
  const upstream = await startUpstream(t, (turn) => {
    const { target } = turn.request
    if (target.startsWith('/held')) held.push(turn)
    else turn.send(target === '/events' ? STREAM : target === '/ws' ? SWITCHING : ok())
  })
  const test = await startTestApp(t, { upstream: { url: upstream.url, ...changes } })

  async function hold(count: number, options = {}, name = 'held') {
    const clients = []
    for (let i = 0; i < count; i++) {
      const client = await openClient(t, test.url, options)
      client.write(get(`/held/${name}`))
      clients.push(client)
    }
    return clients
  }
  return { held, hold, upstream, ...test }
}

t.test('one address that holds all the connections it can leaves room for another', async (t) => {
  const { url, held, hold, metric } = await startHolding(t, { maxConnections: 8, queueTimeout: 60_000 })
  await hold(10)
  await eventually('all are here', async () => (await metric('sluice_inflight_requests')) === 10)
  t.equal(held.length, 6, 'three quarters of the connections')
  for (let i = 0; i < 10; i++) t.equal((await ask(t, url, get('/quick'), OTHER)).status, 200)
  held[0]!.send(ok())
  await eventually('the next of its own', () => held.length === 7)
})

t.test('a connection that becomes free goes first to whom holds less than a share, then to each in turn', async (t) => {
  const { held, hold, metric } = await startHolding(t, { maxConnections: 8, queueTimeout: 60_000 })
  const answered = new Set<Turn>()
  async function serve(name: string): Promise<void> {
    const turn = held.find((each) => each.request.target === `/held/${name}` && !answered.has(each))!
    answered.add(turn)
    turn.send(ok())
    await eventually('it is served', async () => (await metric('sluice_requests_total')) === answered.size)
  }
  const begun = () => held.slice(6).map(({ request }) => request.target)
  await hold(10, {}, 'one')
  await eventually('all are here', async () => (await metric('sluice_inflight_requests')) === 10)
  t.equal(held.length, 6)
  await hold(4, OTHER, 'other')
  await eventually('all are here', async () => (await metric('sluice_inflight_requests')) === 14)
  t.same(begun(), ['/held/other', '/held/other'], 'a share from the reserve')
  await serve('one')
  t.equal(held.length, 8, 'each holds its share, and the reserve is kept')
  await serve('other')
  await eventually('the other has less than its share', () => begun().length === 3)
  t.equal(begun()[2], '/held/other')
  await serve('one')
  t.equal(held.length, 9)
  await serve('one')
  await eventually('more than the reserve is free', () => begun().length === 4)
  await serve('one')
  await eventually('more than the reserve is free', () => begun().length === 5)
  t.same(begun().slice(3), ['/held/one', '/held/other'])
})

t.test('a request that waits for queue_timeout gets 503, and the place in the queue is free', async (t) => {
  const { url, held, hold, logged } = await startHolding(t, { maxConnections: 1, maxQueue: 1, queueTimeout: 300 })
  const [first] = await hold(1)
  await eventually('it is under way', () => held.length === 1)
  for (let i = 0; i < 2; i++) {
    const began = performance.now()
    const late = await ask(t, url, get('/late'))
    const waited = performance.now() - began
    isProblem(t, late, 503)
    t.equal(late.one('proxy-status'), 'sluice; error=connection_limit_reached')
    t.ok(Number(late.one('retry-after')) >= 1)
    t.ok(waited >= 300 && waited < 3000, `after ${Math.round(waited)} ms`)
  }
  t.match(logged('upstream failed')[0]?.cause, 'upstream.queue_timeout')
  held[0]!.send(ok('in the end'))
  t.equal((await first!.answer()).text, 'in the end')
  t.equal((await ask(t, url, get('/now'))).status, 200)
})

t.test('one address does not fill the queue', async (t) => {
  const { url, held, hold, metric } = await startHolding(t, { maxConnections: 1, maxQueue: 8, queueTimeout: 60_000 })
  await hold(1)
  await eventually('it is under way', () => held.length === 1)
  await hold(6)
  await eventually('they wait', async () => (await metric('sluice_inflight_requests')) === 7)
  t.equal((await ask(t, url, get('/held/more'))).status, 503)
  const [other] = await hold(1, OTHER)
  await eventually('the other waits', async () => (await metric('sluice_inflight_requests')) === 8)
  held[0]!.send(ok())
  await eventually('one of the crowd', () => held.length === 2)
  held[1]!.send(ok())
  await eventually('the other, in turn', () => held.length === 3)
  held[2]!.send(ok('in turn'))
  t.equal((await other!.answer()).text, 'in turn')
})

t.test('fifty event streams of one address leave places for those of another', async (t) => {
  const { url } = await startHolding(t, { maxStreams: 50, maxConnections: 4, maxQueue: 0 })
  async function openStreams(count: number, options = {}): Promise<number> {
    let open = 0
    for (let i = 0; i < count; i++) {
      const client = await openClient(t, url, options)
      client.write(get('/events'))
      if ((await client.until('\r\n\r\n')).startsWith('HTTP/1.1 200')) open++
    }
    return open
  }
  t.equal(await openStreams(50), 41, 'three quarters of the streams, and of the connections')
  t.equal(await openStreams(12, OTHER), 12)
  t.equal((await ask(t, url, get('/quick'), OTHER)).status, 200)
})

t.test('nor do fifty tunnels of one address take all', async (t) => {
  const { url, metric } = await startHolding(t, { maxStreams: 50 })
  const statuses: number[] = []
  for (let i = 0; i < 50; i++) {
    const client = await openClient(t, url)
    client.write(UPGRADE)
    statuses.push((await client.answer()).status)
  }
  t.equal(statuses.filter((status) => status === 101).length, 38)
  t.equal(statuses.filter((status) => status === 503).length, 12)
  const other = await openClient(t, url, OTHER)
  other.write(UPGRADE)
  t.equal((await other.answer()).status, 101)
  t.equal(await metric('sluice_upgrades_active'), 39)
})
