import { createHash } from 'node:crypto'
import t from 'tap'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post } from '../fixtures/raw-client.ts'
import { holdRefusals, path, startThrough } from '../fixtures/through.ts'

const CHUNKS = '3\r\nabc\r\n0\r\n\r\n'

t.test('names that are a framing field once all but letters is removed: 400', async (t) => {
  const names = [
    ...['Transfer---Encoding', 'Transfer.Encoding', '-Transfer-Encoding', 'Transfer-Encoding-', 'TransferEncoding'],
    ...[
      'Transfer_Encoding',
      'transfer~encoding',
      "Transfer'Encoding",
      'Transfer-Encoding2',
      'T-r-a-n-s-f-e-r-Encoding',
    ],
    ...['Content--Length', 'Content_Length', 'content.length', 'Content-Length.', '_Content-Length', 'CONTENTLENGTH'],
    ...['Content-Length0', 'Content|Length'],
  ]
  await holdRefusals(t, [
    ...names.map((name) => [name, get('/', `${name}: 5`), 400] as const),
    ['beside a real length', post('/', 'abc', 'Content_Length: 30'), 400],
    [
      'beside a real coding',
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer.Encoding: x\r\n\r\n${CHUNKS}`,
      400,
    ],
  ])
})

t.test('a name that only contains that of a framing field is a field like any other', async (t) => {
  const { url, upstream } = await startThrough(t)
  const names = ['X-Content-Length', 'Content-Length-Hint', 'X-Transfer-Encoding', 'Accept-Transfer-Encoding']
  t.equal((await ask(t, url, get('/', ...names.map((name) => `${name}: 1`)))).status, 200)
  for (const name of names) t.equal(upstream.seen[0]!.one(name), '1', name)
})

/** A policy that trusts, keys and matches by fields of its own. */
const READING = {
  identity: {
    trustedProxies: ['127.0.0.0/8'],
    clientAddress: { kind: 'header', header: 'cf-connecting-ip' },
    deviceCookie: { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' },
    apiKeys: {
      header: 'x-api-key',
      principals: new Map([[createHash('sha256').update('key').digest('hex'), 'shop']]),
      enrolment: 'controlled',
    },
  },
  limits: [
    limitOf({ name: 'tenant', per: [{ kind: 'header', name: 'x-tenant' }], burst: 100 }),
    limitOf({ name: 'plan', burst: 100, match: { ...path(), headers: [{ name: 'x-plan', value: 'free' }] } }),
  ],
} as const

const LOOK_ALIKES = [
  ...[
    'X.Forwarded.For',
    'X--Forwarded-For',
    'X-Forwarded-For.',
    'XForwardedFor',
    'X|Forwarded|User',
    'X_Forwarded_Proto',
  ],
  ...['CF.Connecting.IP', 'CF_Connecting-IP', 'X--Tenant', 'X_Tenant', 'XTenant', 'X.Api.Key', 'X-Api-Key~', 'X_Plan'],
  ...['Authorization.', '-Authorization', 'Cookie_', 'Cookie.', 'Host_', '-Host', 'Forwarded-', 'X.Real.IP', 'X.JA4'],
  ...[
    'X_Client_Cert',
    'X_Request.Id',
    'Via-',
    'Device_Token',
    'Expect-',
    'Connection_',
    'Upgrade.',
    'Keep_Alive',
    'T-E',
  ],
  ...['Proxy_', 'Proxy.Authorization', 'Trailer-'],
]

t.test('names that read like a field that is trusted, keyed, matched or ours are dropped and counted', async (t) => {
  const { url, upstream, metric } = await startThrough(t, READING)
  const lines = [...LOOK_ALIKES.map((name) => `${name}: 6`), 'X_Kept: 1', 'X-Tenant: a']
  t.equal((await ask(t, url, get('/', ...lines))).status, 200)
  const names = upstream.seen[0]!.fields.map(([name]) => name)
  t.same(
    names.filter((name) => LOOK_ALIKES.includes(name)),
    [],
  )
  t.equal(upstream.seen[0]!.one('x_kept'), '1')
  t.equal(upstream.seen[0]!.one('x-tenant'), 'a')
  t.equal(await metric('sluice_look_alike_headers_total'), LOOK_ALIKES.length)
})

t.test('a name that the policy spells so itself is the field', async (t) => {
  const { url, upstream, metric } = await startThrough(t, {
    identity: { trustedProxies: ['127.0.0.0/8'], clientAddress: { kind: 'header', header: 'x_real_ip' } },
    limits: [limitOf({ per: [{ kind: 'header', name: 'x_tenant' }], burst: 100 })],
  })
  t.equal((await ask(t, url, get('/', 'X_Tenant: a', 'X_Real_IP: 192.0.2.1', 'X-Tenant: b'))).status, 200)
  const [seen] = upstream.seen
  t.equal(seen!.one('x_tenant'), 'a')
  t.equal(seen!.one('x_real_ip'), '192.0.2.1')
  t.equal(seen!.one('x-tenant'), undefined, 'then the other spelling is the look-alike')
  t.equal(await metric('sluice_look_alike_headers_total'), 1)
})

t.test(
  'request trailers carry nothing that the policy reads, trusts or frames by, nor what reads like it',
  async (t) => {
    const { url, upstream, metric } = await startThrough(t, READING)
    const exact = [
      ...['X-Tenant', 'X-Api-Key', 'X-Plan', 'CF-Connecting-IP', 'X-Forwarded-For', 'X-JA4', 'Device-Token', 'Host'],
      ...['Authorization', 'Cookie', 'TE', 'Connection', 'Via', 'Content-Type', 'If-Match', 'X-Request-Id'],
    ]
    const spelled = [...LOOK_ALIKES, 'Content_Length', 'Transfer.Encoding', 'Content--Type', 'If_Match']
    const client = await openClient(t, url)
    const lines = [...exact, ...spelled].map((name) => `${name}: 6\r\n`).join('')
    client.write('POST / HTTP/1.1\r\nHost: a\r\nX-Tenant: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
    client.write(`0\r\n${lines}X-Sum: 2\r\n\r\n`)
    t.equal((await client.answer()).status, 200)
    t.same(
      upstream.seen[0]!.trailers.map(([name]) => name),
      ['X-Sum'],
    )
    t.equal(await metric('sluice_look_alike_headers_total'), LOOK_ALIKES.length + 2, 'and two of framing fields')
  },
)

t.test('Connection cannot take away a field by which the policy matched', async (t) => {
  const { url, upstream } = await startThrough(t, READING)
  const fields = ['Connection: X-Plan, X-Tenant, X-Api-Key, X-Gone', 'X-Plan: free', 'X-Tenant: a', 'X-Gone: 1']
  t.equal((await ask(t, url, get('/', ...fields))).status, 200)
  t.equal(upstream.seen[0]!.one('x-plan'), 'free')
  t.equal(upstream.seen[0]!.one('x-tenant'), 'a')
  t.equal(upstream.seen[0]!.one('x-gone'), undefined)
})
