import t from 'tap'
import { isHopByHop, nominatedFields } from '../../src/http/hop-by-hop.ts'

t.test('fields of one hop stay at it, others go on', async (t) => {
  for (const name of [
    'connection',
    'keep-alive',
    'proxy-connection',
    'proxy-authenticate',
    'proxy-authentication-info',
    'proxy-authorization',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ]) {
    t.ok(isHopByHop(name), name)
  }
  for (const name of ['content-length', 'host', 'proxy-status', 'cache-control', 'date', '', '__proto__', 'toString']) {
    t.notOk(isHopByHop(name), name)
  }
})

t.test('Connection nominates fields, whatever their case and spacing', async (t) => {
  const rows: readonly (readonly [connection: string | undefined, nominated: readonly string[] | null])[] = [
    [undefined, null],
    ['', null],
    ['close', null],
    ['Keep-Alive', null],
    ['close, keep-alive, TE, Upgrade', null],
    ['X-Foo', ['x-foo']],
    ['close,X-Foo , x-BAR,,\tx-foo', ['x-foo', 'x-bar']],
    ['HTTP2-Settings, Upgrade', ['http2-settings']],
    ['__proto__, constructor', ['__proto__', 'constructor']],
  ]
  for (const [connection, nominated] of rows) {
    const fields = nominatedFields(connection)
    t.same(fields && [...fields], nominated, String(connection))
  }
})

t.test('neither framing nor identity nor forwarding can be nominated away', async (t) => {
  for (const name of [
    'Content-Length',
    'Transfer-Encoding',
    'Host',
    'Authorization',
    'Cookie',
    'Forwarded',
    'Via',
    'X-Real-IP',
    'X-Request-Id',
    'X-Client-Cert',
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'x-forwarded-client-cert',
    'Cache-Control',
  ]) {
    t.equal(nominatedFields(name), null, name)
    t.same([...nominatedFields(`X-Foo, ${name}`)!], ['x-foo'], name)
  }
})
