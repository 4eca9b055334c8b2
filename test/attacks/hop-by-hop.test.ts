import t from 'tap'
import { eventually } from '../fixtures/app.ts'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { isProblem, ONCE, startThrough } from '../fixtures/through.ts'

t.test(
  'strip Connection, what it names, Keep-Alive, TE, Proxy-*, Upgrade; add Via, Forwarded or X-Forwarded-*',
  async (t) => {
    const { url, upstream } = await startThrough(t)
    const stripped = [
      'Keep-Alive: timeout=5',
      'TE: gzip;q=0.5',
      'Proxy-Authorization: Basic x',
      'Proxy-Connection: close',
    ]
    const lies = [
      'X-Forwarded-For: 192.0.2.1',
      'X-Forwarded-Proto: https',
      'Forwarded: for=192.0.2.1',
      'X-Real-IP: 192.0.2.1',
    ]
    const request = get(
      '/',
      'Connection: keep-alive, X-One, x-two',
      'X-One: 1',
      'X-Two: 2',
      ...stripped,
      'Proxy: http://x',
      ...lies,
    )
    t.equal((await ask(t, url, request)).status, 200)
    const [seen] = upstream.seen
    const names = seen!.fields.map(([name]) => name.toLowerCase())
    for (const name of ['x-one', 'x-two', 'te', 'keep-alive', 'upgrade', 'forwarded', 'x-real-ip'])
      t.notOk(names.includes(name), name)
    t.notOk(names.some((name) => name.startsWith('proxy')))
    t.match(seen!.one('via'), /^1\.1 sluice-/)
    t.equal(seen!.one('x-forwarded-for'), '127.0.0.1')
    t.equal(seen!.one('x-forwarded-proto'), 'http')
    t.equal(seen!.one('x-forwarded-host'), 'test')
  },
)

t.test('X-Forwarded-Host is left out where no host is named', async (t) => {
  const { url, upstream } = await startThrough(t)
  t.equal((await ask(t, url, 'GET / HTTP/1.0\r\n\r\n')).status, 200)
  t.same(upstream.seen[0]!.all('x-forwarded-host'), [])
})

t.test('refuse own loop (508)', async (t) => {
  const { url, upstream } = await startThrough(t)
  await ask(t, url, get('/a'))
  isProblem(t, await ask(t, url, get('/b', `Via: 1.0 other, ${upstream.seen[0]!.one('via')}`)), 508)
  t.equal(upstream.seen.length, 1)
})

t.test('Expect: 100-continue answered by the decision', async (t) => {
  const { url, upstream } = await startThrough(t, { limits: [ONCE] })
  const expecting = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n'
  const client = await openClient(t, url)
  client.write(expecting)
  t.equal((await client.answer()).status, 100)
  client.write('body')
  t.equal((await client.answer()).status, 200)
  t.same(upstream.seen[0]!.all('expect'), [], 'and by nobody else')
  client.write(expecting)
  t.equal((await client.answer()).status, 429, 'before the body is invited')
  await client.closed()
  t.equal(upstream.seen.length, 1)
})

t.test('Upgrade: h2c not forwarded', async (t) => {
  const { url, upstream } = await startThrough(t)
  const client = await openClient(t, url)
  const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']
  client.write(get('/a', ...h2c))
  t.equal((await client.answer()).status, 200)
  await eventually('it is seen', () => upstream.seen.length === 1)
  for (const name of ['upgrade', 'http2-settings']) t.same(upstream.seen[0]!.all(name), [])
  t.notMatch(upstream.seen[0]!.all('connection').join(), /upgrade/i)
})
