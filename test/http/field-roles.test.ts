import t from 'tap'
import { compileFieldRoles, hyphenated } from '../../src/http/field-roles.ts'
import { isFramingLookAlike } from '../../src/http/fields.ts'

t.test('a forwarding field is one that says who the client is or came through', async (t) => {
  const roles = compileFieldRoles({ peerFields: ['cf-ip'], readFields: [], strippedFields: [] })
  for (const name of ['x-forwarded-for', 'x-forwarded-x', 'forwarded', 'x-real-ip', 'x-client-cert', 'cf-ip']) {
    t.ok(roles(name).isForwarding, name)
  }
  for (const name of ['x-ja3-hash', 'cf-ja3-hash', 'x-ja4', 'cloudfront-viewer-ja4-fingerprint', 'x-ja4h']) {
    t.ok(roles(name).isForwarding, name)
  }
  for (const name of ['cf-other', 'via', 'x-ninja4', 'x-ja3x', 'x-forwarded', 'forwarded-for', 'x-request-id']) {
    t.notOk(roles(name).isForwarding, name)
  }
})

t.test('a forwarding field that the policy keys by stays one', async (t) => {
  const roles = compileFieldRoles({ peerFields: [], readFields: ['x-forwarded-user'], strippedFields: [] })
  t.match(roles('x-forwarded-user'), { isForwarding: true, isRead: true, isLookAlike: false })
  t.match(roles('x-forwarded-us-er'), { isForwarding: false, isLookAlike: true })
})

t.test('a look-alike is a name that is another one but for its separators', async (t) => {
  const roles = compileFieldRoles({
    peerFields: ['cf-connecting-ip'],
    readFields: ['x-tenant', 'x_odd'],
    strippedFields: [],
  })
  const alike = [
    'x_tenant',
    'x--tenant',
    'xtenant',
    'x-odd',
    'cf.connecting.ip',
    '-host',
    'authorization.',
    'x.ja4',
    '_te',
  ]
  for (const name of alike) t.ok(roles(name).isLookAlike, name)
  const others = [
    'x-tenant',
    'x_odd',
    'x-tenants',
    'host',
    'te',
    'accept',
    '__proto__',
    '_',
    '-',
    'x-ja4',
    'xforwarded',
  ]
  for (const name of others) t.notOk(roles(name).isLookAlike, name)
})

t.test('no browser, proxy or tool sends a field that is taken for a look-alike', async (t) => {
  const roles = compileFieldRoles({
    peerFields: ['cf-connecting-ip', 'x-client-cert'],
    readFields: ['x-api-key', 'x-tenant'],
    strippedFields: [],
  })
  const usual = [
    ...[
      'accept',
      'accept-encoding',
      'accept-language',
      'cache-control',
      'content-type',
      'content-encoding',
      'content-range',
    ],
    ...[
      'cookie',
      'dnt',
      'etag',
      'if-match',
      'if-none-match',
      'if-modified-since',
      'origin',
      'pragma',
      'priority',
      'range',
    ],
    ...[
      'referer',
      'sec-ch-ua',
      'sec-fetch-mode',
      'sec-gpc',
      'sec-websocket-key',
      'upgrade-insecure-requests',
      'user-agent',
    ],
    ...[
      'x-requested-with',
      'x-csrf-token',
      'traceparent',
      'tracestate',
      'baggage',
      'b3',
      'x-b3-traceid',
      'x-amzn-trace-id',
    ],
    ...[
      'idempotency-key',
      'prefer',
      'soapaction',
      'x-envoy-attempt-count',
      'cf-ray',
      'cdn-loop',
      'true-client-ip',
      'date',
    ],
    ...[
      'content-length',
      'transfer-encoding',
      'x-content-length',
      'x-http-method-override',
      'grpc-timeout',
      'save-data',
    ],
  ]
  for (const name of usual) t.notOk(roles(name).isLookAlike || isFramingLookAlike(name), name)
})

t.test('words are told by whatever separates them', async (t) => {
  t.same(['x__a.b', '-x-a-', 'xa', '_'].map(hyphenated), ['x-a-b', 'x-a', 'xa', ''])
})
