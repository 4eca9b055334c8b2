import t from 'tap'
import { eventually } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { isProblem, startThrough } from '../fixtures/through.ts'
import { ok, type Turn } from '../fixtures/upstream.ts'
import { switching, UPGRADE } from '../fixtures/web-socket.ts'

/** Switches, and gives back what it gets. */
function echo({ request, socket, send }: Turn): void {
  if (request.all('upgrade').length === 0) return send(ok())
  socket.removeAllListeners('data').on('data', (bytes) => socket.write(bytes))
  send(switching())
}

t.test('WebSocket: limited like a request', async (t) => {
  const { url, upstream } = await startThrough(t, { limits: [limitOf({ burst: 2 })] }, echo)
  for (const status of [101, 101, 429, 429]) t.equal((await ask(t, url, get('/', ...UPGRADE))).status, status)
  t.equal(upstream.seen.length, 2)
})

t.test('client reset before 101: no crash, no leak', async (t) => {
  const turns: Turn[] = []
  const { url, metric, idle } = await startThrough(t, {}, (turn) => void turns.push(turn))
  const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(t, url)))
  for (const client of clients) client.write(get('/', ...UPGRADE))
  await eventually('they are under way', () => turns.length === 20)
  for (const client of clients) client.socket.resetAndDestroy()
  await eventually('they are cancelled', () => turns.every(({ socket }) => socket.destroyed))
  await idle()
  t.equal(await metric('sluice_upgrades_active'), 0)
  t.equal(await metric('sluice_requests_total'), 20)
})

t.test('half-open sockets: either end ends both', async (t) => {
  const { url, upstream, metric } = await startThrough(t, {}, echo)
  const client = await openClient(t, url, { closes: false })
  client.write(get('/', ...UPGRADE))
  t.equal((await client.answer()).status, 101)
  upstream.sockets[0]!.end()
  await client.closed()
  await eventually('no tunnel is left', async () => (await metric('sluice_upgrades_active')) === 0)
})

t.test('refusing or silent upstream: its answer, or 504', async (t) => {
  const refusing = await startThrough(t, {}, ({ send }) => send(ok('no')))
  t.equal((await ask(t, refusing.url, get('/', ...UPGRADE))).text, 'no')
  const silent = await startThrough(t, { upstream: { responseTimeout: 200 } }, () => {})
  isProblem(t, await ask(t, silent.url, get('/', ...UPGRADE)), 504)
})

t.test('unsolicited 101 (502)', async (t) => {
  const { url } = await startThrough(t, {}, ({ nth, send }) => send(nth === 0 ? switching() : ok()))
  isProblem(t, await ask(t, url, get()), 502)
  t.equal((await ask(t, url, get())).status, 200)
})

t.test('a 101 of another protocol, or of another handshake (502)', async (t) => {
  const answers = [switching().replace('websocket', 'h2c'), switching().replace('s3p', 's3q')]
  for (const answer of answers) {
    const { url, upstream, metric } = await startThrough(t, {}, ({ send }) => send(answer))
    isProblem(t, await ask(t, url, get('/', ...UPGRADE)), 502)
    await eventually('the upstream is left', () => upstream.sockets.every(({ destroyed }) => destroyed))
    t.equal(await metric('sluice_upgrades_active'), 0)
  }
})

t.test('1,000 upgrades at once: all stand, all end, the gauge is 0', async (t) => {
  const { url, metric, idle } = await startThrough(t, {}, echo)
  const clients = await Promise.all(Array.from({ length: 1000 }, () => openClient(t, url)))
  for (const client of clients) client.write(get('/', ...UPGRADE))
  for (const client of clients) t.equal((await client.answer()).status, 101)
  t.equal(await metric('sluice_upgrades_active'), 1000)
  for (const [i, client] of clients.entries()) client.write(`message ${i}`)
  await Promise.all(clients.map((client, i) => client.until(`message ${i}`)))
  for (const [i, { socket }] of clients.entries()) void (i % 2 === 0 ? socket.resetAndDestroy() : socket.end())
  await eventually('no tunnel is left', async () => (await metric('sluice_upgrades_active')) === 0)
  await idle()
  t.equal((await ask(t, url, get())).status, 200)
})
