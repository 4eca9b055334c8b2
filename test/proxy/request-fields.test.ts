import t from 'tap'
import { compileFieldRoles } from '../../src/http/field-roles.ts'
import { type RequestFieldsOptions, requestFields } from '../../src/proxy/request-fields.ts'
import { factsOf, type RequestLike } from './facts-of.ts'

type Options = Omit<RequestFieldsOptions, 'fieldRoles' | 'onLookAlike' | 'onOverride'> & {
  readonly peerFields: readonly string[]
}

const OPTIONS: Options = {
  peer: '198.51.100.7',
  isPeerTrusted: false,
  peerFields: [],
  deviceCookie: null,
  host: 'a.example',
  requestId: 'id-1',
  via: 'sluice-1',
  isHandshake: false,
}

/** What is sent upstream, as lines. */
function lines(request: RequestLike, changes: Partial<Options> = {}): string[] {
  const { peerFields, ...options } = { ...OPTIONS, ...changes }
  const fieldRoles = compileFieldRoles({ peerFields, readFields: request.singleFields ?? [], strippedFields: [] })
  const fields = requestFields(factsOf(request), {
    ...options,
    fieldRoles,
    onLookAlike: () => {},
    onOverride: () => {},
  })
  t.equal(fields.length % 2, 0)
  return fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}`] : []))
}

const OURS = [
  'Via: 1.1 sluice-1',
  'X-Forwarded-For: 198.51.100.7',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Host: a.example',
  'X-Request-Id: id-1',
]

t.test('the fields go on as received: order, case, duplicates and odd names', async (t) => {
  const fields = [
    'X-B',
    '1',
    'x-a',
    '2',
    'X-b',
    '3',
    'Cookie',
    'a',
    'cookie',
    'b',
    '__proto__',
    'x',
    'X_Custom',
    '',
    'Accept',
    '*/*',
  ]
  t.same(lines({ fields }), [
    'Host: a.example',
    'X-B: 1',
    'x-a: 2',
    'X-b: 3',
    'Cookie: a',
    'cookie: b',
    '__proto__: x',
    'X_Custom: ',
    'Accept: */*',
    ...OURS,
  ])
})

t.test('Host is the one decided on, and stands once', async (t) => {
  t.same(lines({ host: 'a.example' }, { host: 'upstream:3000' }), ['Host: upstream:3000', ...OURS])
  const absolute = lines({ url: 'http://b.example/', host: 'a.example' }, { host: 'b.example' })
  t.same(
    absolute.filter((line) => /^(host|x-forwarded-host):/i.test(line)),
    ['Host: b.example', 'X-Forwarded-Host: b.example'],
  )
})

t.test('a request that names no host is forwarded without X-Forwarded-Host', async (t) => {
  const nameless = lines({ httpVersion: '1.0', host: '' })
  t.same(
    nameless.filter((line) => /^x-forwarded-host:/i.test(line)),
    [],
  )
})

t.test('what ends at this hop does not go on', async (t) => {
  const fields = [
    ...['Connection', 'keep-alive, X-Nominated', 'Keep-Alive', 'timeout=5', 'Proxy-Connection', 'keep-alive'],
    ...['Proxy-Authorization', 'Basic x', 'TE', 'gzip', 'Trailer', 'X', 'Transfer-Encoding', 'chunked'],
    ...['Upgrade', 'h2c', 'Expect', '100-continue', 'X-Nominated', '1', 'x-NOMINATED', '2', 'X-Kept', '3'],
  ]
  t.same(lines({ method: 'POST', fields }), ['Host: a.example', 'X-Kept: 3', ...OURS])
})

t.test('several Connection lines nominate together', async (t) => {
  const fields = ['Connection', 'X-A', 'X-A', '1', 'connection', 'X-B', 'X-B', '2', 'X-C', '3']
  t.same(lines({ fields }), ['Host: a.example', 'X-C: 3', ...OURS])
})

t.test('Connection cannot take away framing, nor whom the request was counted for', async (t) => {
  const fields = [
    ...[
      'Connection',
      'Content-Length, Host, Authorization, Cookie, X-Api-Key, Via, X-Forwarded-For, Cf-Ip, X-Client-Cert',
    ],
    ...['Content-Length', '1', 'Authorization', 'Bearer x', 'Cookie', 'a=b', 'X-Api-Key', 'k'],
  ]
  const kept = ['Content-Length: 1', 'Authorization: Bearer x', 'Cookie: a=b', 'X-Api-Key: k']
  const request = { method: 'POST', fields, singleFields: ['x-api-key'] }
  t.same(lines(request), ['Host: a.example', ...kept, ...OURS])
  const forwarding = ['Cf-Ip', '192.0.2.1', 'X-Client-Cert', 'y']
  t.same(lines({ ...request, fields: [...fields, ...forwarding] }, { isPeerTrusted: true, peerFields: ['cf-ip'] }), [
    'Host: a.example',
    ...kept,
    'Cf-Ip: 192.0.2.1',
    'X-Client-Cert: y',
    ...OURS,
  ])
})

const FORWARDING = [
  ...['X-Forwarded-For', '192.0.2.1', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'b.example'],
  ...['X-Forwarded-Port', '443', 'X-Forwarded-Client-Cert', 'Hash=x', 'Forwarded', 'for=192.0.2.1'],
  ...['X-Real-IP', '192.0.2.1', 'X-Client-Cert', 'x', 'Cf-Connecting-Ip', '192.0.2.1', 'X-Request-Id', 'theirs'],
]

t.test('what an untrusted peer says of others is gone', async (t) => {
  t.same(lines({ fields: FORWARDING }, { peerFields: ['cf-connecting-ip'] }), ['Host: a.example', ...OURS])
})

t.test('what a trusted peer says stays, and the peer is added', async (t) => {
  t.same(lines({ fields: FORWARDING }, { isPeerTrusted: true, peer: '10.0.0.1', peerFields: ['cf-connecting-ip'] }), [
    'Host: a.example',
    'X-Forwarded-Port: 443',
    'X-Forwarded-Client-Cert: Hash=x',
    'Forwarded: for=192.0.2.1',
    'X-Real-IP: 192.0.2.1',
    'X-Client-Cert: x',
    'Cf-Connecting-Ip: 192.0.2.1',
    'Via: 1.1 sluice-1',
    'X-Forwarded-For: 192.0.2.1, 10.0.0.1',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: b.example',
    'X-Request-Id: id-1',
  ])
})

t.test('a chain that comes in several lines goes on as one', async (t) => {
  const fields = ['X-Forwarded-For', '192.0.2.1', 'x-forwarded-for', '10.0.0.2', 'Via', '1.1 a', 'via', '1.0 b']
  const sent = lines({ fields, httpVersion: '1.0' }, { isPeerTrusted: true, peer: '10.0.0.1' })
  t.same(sent.slice(1, 3), ['Via: 1.1 a, 1.0 b, 1.0 sluice-1', 'X-Forwarded-For: 192.0.2.1, 10.0.0.2, 10.0.0.1'])
})

t.test('a peer that has gone is unknown', async (t) => {
  t.ok(lines({}, { peer: undefined }).includes('X-Forwarded-For: unknown'))
})

t.test('underscored twins of fields that somebody trusts are dropped, from every peer', async (t) => {
  const twins = [
    ...['X_Forwarded_For', 'x_forwarded-for', 'X-Forwarded_Proto', 'X_Real_IP'],
    ...['X_Request_Id', 'X_Client_Cert', 'CF_Connecting_IP', 'X_Api_Key', 'x-api_key', 'X_Forwarded_Anything'],
  ]
  const fields = [...twins.flatMap((name) => [name, '1']), 'X_Tenant', 'kept', '_', 'kept']
  for (const isPeerTrusted of [false, true]) {
    const sent = lines({ fields, singleFields: ['x-api-key'] }, { isPeerTrusted, peerFields: ['cf-connecting-ip'] })
    t.same(sent, ['Host: a.example', 'X_Tenant: kept', '_: kept', ...OURS])
  }
})

t.test('a field that the policy itself names with an underscore is no twin', async (t) => {
  t.ok(lines({ fields: ['x_client_cert', 'k'], singleFields: ['x_client_cert'] }).includes('x_client_cert: k'))
  t.ok(
    lines({ fields: ['x_real_ip', 'k'] }, { isPeerTrusted: true, peerFields: ['x_real_ip'] }).includes('x_real_ip: k'),
  )
})
