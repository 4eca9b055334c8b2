import { createHash } from 'node:crypto'
import t from 'tap'
import { ask, get, openClient, post } from '../fixtures/raw-client.ts'
import { holdRefusals, startThrough } from '../fixtures/through.ts'

const KEYED = {
  apiKeys: {
    header: 'x-api-key',
    principals: new Map([[createHash('sha256').update('key').digest('hex'), 'shop']]),
    enrolment: 'controlled' as const,
  },
}

t.test('Trailer without chunked: no crash, and it goes no further', async (t) => {
  const { url, upstream } = await startThrough(t)
  for (const request of [
    get('/', 'Trailer: X-T'),
    post('/', 'abc', 'Trailer: X-T'),
    get('/', 'Trailer: Content-Length'),
  ]) {
    t.equal((await ask(t, url, request)).status, 200)
  }
  for (const { all } of upstream.seen) t.same(all('trailer'), [])
})

t.test('header named __proto__: a field like any other', async (t) => {
  const { url, upstream } = await startThrough(t)
  const odd = ['__proto__: {"x":1}', 'constructor: x', 'hasOwnProperty: x', 'toString: x', '__proto__: y']
  t.equal((await ask(t, url, get('/', ...odd))).status, 200)
  t.same(upstream.seen[0]!.all('__proto__'), ['{"x":1}', 'y'])
  t.same(upstream.seen[0]!.all('hasownproperty'), ['x'])
  t.equal(({} as Record<string, unknown>).x, undefined)
})

t.test('duplicate Authorization, or API key: 400', async (t) => {
  await holdRefusals(
    t,
    [
      ['two Authorizations', get('/', 'Authorization: a', 'authorization: b'), 400],
      ['two equal ones', get('/', 'Authorization: a', 'Authorization: a'), 400],
      ['two API keys', get('/', 'X-Api-Key: key', 'x-api-key: other'), 400],
    ],
    { identity: KEYED },
  )
})

t.test('Connection: Content-Length, Connection: Host, Connection: Authorization are not obeyed', async (t) => {
  const { url, upstream } = await startThrough(t, { identity: { ...KEYED, trustedProxies: ['127.0.0.0/8'] } })
  const kept = [
    'Authorization: Bearer x',
    'X-Api-Key: key',
    'Cookie: a=b',
    'X-Forwarded-For: 192.0.2.1',
    'Forwarded: for=x',
  ]
  const names = ['Content-Length', 'Host', ...kept.map((field) => field.split(':', 1)[0])]
  const client = await openClient(t, url)
  client.write(post('/', 'abc', `Connection: ${names.join(', ')}, X-Gone`, 'X-Gone: 1', ...kept), get('/next'))
  t.equal((await client.answer()).status, 200)
  t.equal((await client.answer()).status, 200)
  const [seen] = upstream.seen
  t.equal(seen!.body.toString(), 'abc')
  for (const name of names) t.equal(seen!.all(name!).length, 1, String(name))
  t.same(seen!.all('x-gone'), [])
  t.match(seen!.one('x-forwarded-for'), /^192\.0\.2\.1, 127\./)
})

t.test('Connection: Transfer-Encoding is not obeyed', async (t) => {
  const { url, upstream } = await startThrough(t)
  const client = await openClient(t, url)
  const chunks = `${get('/hidden').length.toString(16)}\r\n${get('/hidden')}\r\n0\r\n\r\n`
  const fields = 'Host: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked'
  client.write(`POST /a HTTP/1.1\r\n${fields}\r\n\r\n${chunks}`, get('/b'))
  for (const target of ['/a', '/b']) t.equal((await client.answer()).status, 200, target)
  t.same(
    upstream.seen.map(({ target }) => target),
    ['/a', '/b'],
  )
})
