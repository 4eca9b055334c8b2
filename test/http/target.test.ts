import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { parseTarget } from '../../src/http/target.ts'

type Row = readonly [target: string, path: string, folded: string, ...alternatives: string[]]

/** What is forwarded, what limits and deny lists match besides, and what some upstreams make of it yet. */
const ROWS: readonly Row[] = [
  // Nothing to do.
  ['/', '/', '/'],
  ['/a/b', '/a/b', '/a/b'],
  ['/a.b/c..d/..e/f', '/a.b/c..d/..e/f', '/a.b/c..d/..e/f'],
  ['/a/B', '/a/B', '/a/B'],
  ['/.well-known/x', '/.well-known/x', '/.well-known/x'],
  ['/...', '/...', '/...', '/'],
  // Dot segments are resolved before anything is forwarded.
  ['/./a', '/a', '/a'],
  ['/a/.', '/a/', '/a'],
  ['/a/..', '/', '/'],
  ['/a/b/..', '/a/', '/a'],
  ['/a/b/../c', '/a/c', '/a/c'],
  ['/..', '/', '/'],
  ['/../../a', '/a', '/a'],
  ['/a/../../../b', '/b', '/b'],
  ['/%2e/a', '/a', '/a'],
  ['/%2E%2e/a', '/a', '/a'],
  ['/a/.%2e/b', '/b', '/b'],
  ['/a/%2e./b', '/b', '/b'],
  ['/a/%2e%2E', '/', '/'],
  ['/%2e.../a', '/%2e.../a', '/..../a', '/a'],
  ['/a%2e%2e/b', '/a%2e%2e/b', '/a../b', '/a/b'],
  ['/a.', '/a.', '/a.', '/a'],
  ['/a./b', '/a./b', '/a./b', '/a/b'],
  ['/a%20', '/a%20', '/a%20', '/a'],
  ['/a%20.%0a', '/a%20.%0a', '/a%20.%0A', '/a'],
  ['/a%20/b%09', '/a%20/b%09', '/a%20/b%09', '/a/b'],
  ['/x/..%20/a', '/x/..%20/a', '/x/..%20/a', '/a'],
  ['/%20', '/%20', '/%20', '/'],
  // Slashes.
  ['/a/', '/a/', '/a'],
  ['/a//', '/a//', '/a'],
  ['/a//b', '/a//b', '/a/b'],
  ['/a///b//', '/a///b//', '/a/b'],
  ['/a//../b', '/a/b', '/a/b'],
  ['//', '//', '/'],
  ['//a', '//a', '/a', '/'],
  ['//x/admin', '//x/admin', '/x/admin', '/admin'],
  ['///x/admin', '///x/admin', '/x/admin', '/admin'],
  ['/.//x/admin', '//x/admin', '/x/admin', '/admin'],
  ['/a/..//x/admin', '//x/admin', '/x/admin', '/admin'],
  ['//u:p@x:80/admin/', '//u:p@x:80/admin/', '/u:p@x:80/admin', '/admin'],
  // Escapes of what needs none.
  ['/%61dmin', '/%61dmin', '/admin'],
  ['/%41%2D%2e%5F%7E%30', '/%41%2D%2e%5F%7E%30', '/A-._~0'],
  ['/v1/items%3AbatchGet', '/v1/items%3AbatchGet', '/v1/items:batchGet'],
  ['/%40me/%21%24%26%27%28%29%2B%2C%3D', '/%40me/%21%24%26%27%28%29%2B%2C%3D', "/@me/!$&'()+,="],
  ['/%7Bid%7D%7c%22', '/%7Bid%7D%7c%22', '/{id}|"'],
  // Escapes that stay, in one spelling.
  ['/a%20b', '/a%20b', '/a%20b'],
  ['/caf%c3%a9', '/caf%c3%a9', '/caf%C3%A9'],
  ['/caf\u00c3\u00a9', '/caf\u00c3\u00a9', '/caf%C3%A9'],
  ['/%2a', '/%2a', '/%2A'],
  ['/%3f%23', '/%3f%23', '/%3F%23'],
  ['/%0d%0a%09%7f', '/%0d%0a%09%7f', '/%0D%0A%09%7F'],
  // Decoded once, as every upstream does: what is escaped twice is another resource.
  ['/%252e%252e/a', '/%252e%252e/a', '/%252e%252e/a'],
  ['/a%252fb', '/a%252fb', '/a%252fb'],
  ['/%2561dmin', '/%2561dmin', '/%2561dmin'],
  ['/%2500', '/%2500', '/%2500'],
  // Escaped slashes: two segments to the one, three to the other.
  ['/a%2fb', '/a%2fb', '/a/b', '/a%2Fb'],
  ['/api/a%2fb/s%65cret', '/api/a%2fb/s%65cret', '/api/a/b/secret', '/api/a%2Fb/secret'],
  ['/a%2f..%2fadmin', '/a%2f..%2fadmin', '/admin', '/a%2F..%2Fadmin'],
  ['/a/..%2fadmin', '/a/..%2fadmin', '/admin', '/a/..%2Fadmin'],
  ['/a/%2e%2e%2fadmin', '/a/%2e%2e%2fadmin', '/admin', '/a/..%2Fadmin'],
  ['/a%2f%2fb', '/a%2f%2fb', '/a/b', '/a%2F%2Fb'],
  ['/%2fadmin', '/%2fadmin', '/admin', '/%2Fadmin'],
  ['/admin%2f', '/admin%2f', '/admin', '/admin%2F'],
  // Escaped backslashes.
  ['/a%5Cb', '/a%5Cb', '/a%5Cb', '/a/b'],
  ['/a%5c..%5cadmin', '/a%5c..%5cadmin', '/a%5C..%5Cadmin', '/admin'],
  ['/api%2Fa%5Cb/secret', '/api%2Fa%5Cb/secret', '/api/a%5Cb/secret', '/api/a/b/secret', '/api%2Fa/b/secret'],
  // Parameters of a segment.
  ['/admin;x=1', '/admin;x=1', '/admin;x=1', '/admin'],
  ['/a;x/b;y;z/c', '/a;x/b;y;z/c', '/a;x/b;y;z/c', '/a/b/c'],
  ['/a/..;/admin', '/a/..;/admin', '/a/..;/admin', '/admin'],
  ['/a/..;x=1/admin', '/a/..;x=1/admin', '/a/..;x=1/admin', '/admin'],
  ['/a/.%2e;/admin', '/a/.%2e;/admin', '/a/..;/admin', '/admin'],
  ['/;/admin', '/;/admin', '/;/admin', '/admin'],
  ['/admin/;x', '/admin/;x', '/admin/;x', '/admin'],
  ['/admin%3bx', '/admin%3bx', '/admin;x', '/admin'],
]

for (const [target, path, folded, ...alternatives] of ROWS) {
  t.test(`${target} is forwarded as ${path} and folded to ${folded}`, async (t) => {
    const parsed = parseTarget(target, 'GET')
    t.equal(parsed?.path, path)
    t.equal(parsed?.folded, folded)
    t.same([...(parsed?.alternatives ?? [])].sort(), alternatives.sort())
    t.equal(parsed?.query, '')
    t.equal(parsed?.authority, null)
  })
}

const REFUSED = [
  '',
  'a',
  'a/b',
  'admin.example:443',
  '?a=b',
  '*',
  '/\\',
  '/a\\..\\b',
  '\\a',
  '/a\0',
  '/a%00',
  '/a%00.png',
  '/a b',
  '/a\tb',
  '/a\r\nb',
  '/a\u007f',
  '/a#b',
  '/#',
  '/a?b#c',
  '/a?b c',
  '/a?b\0',
  '/a?b\r\n',
  '/%',
  '/%a',
  '/%zz',
  '/%2',
  '/a%2/b',
  '/%u0061',
  '/%%32e',
  'http:',
  'http:/a',
  'http://',
  'http:///a',
  'http://?a',
  'http://user@host/',
  'http://user:password@host/',
  'http:a',
  'ftp://host/a',
  'ws://host/a',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'http://host/a b',
  'http://host/a#b',
  'http://host#b',
  'http://host/\\',
  'http://host/%',
]

for (const target of REFUSED) {
  t.test(`${JSON.stringify(target)} is refused`, async (t) => {
    t.equal(parseTarget(target, 'GET'), null)
  })
}

t.test('a query is kept as it stands, and belongs to no path', async (t) => {
  for (const query of ['?', '?a=b', '?a=/../b', '?%zz', '?a\\b', '?a?b', '?;x', '?\u00e9', '?//']) {
    t.match(parseTarget(`/a/${query}`, 'GET'), { path: '/a/', folded: '/a', query }, query)
    t.match(parseTarget(`/a${query}`, 'GET'), { path: '/a', folded: '/a', alternatives: [], query }, query)
  }
})

t.test('an absolute target gives its authority and its path', async (t) => {
  const rows: readonly (readonly [target: string, authority: string, path: string, query: string])[] = [
    ['http://a.example/b', 'a.example', '/b', ''],
    ['http://a.example', 'a.example', '/', ''],
    ['http://a.example?x', 'a.example', '/', '?x'],
    ['http://a.example/?x', 'a.example', '/', '?x'],
    ['HTTPS://A.Example:8443/../b?x', 'A.Example:8443', '/b', '?x'],
    ['http://[2001:db8::1]:80/b', '[2001:db8::1]:80', '/b', ''],
    ['http://a.example//b', 'a.example', '//b', ''],
    ['http://a.example/http://b.example/', 'a.example', '/http://b.example/', ''],
  ]
  for (const [target, authority, path, query] of rows) {
    t.match(parseTarget(target, 'GET'), { authority, path, query }, target)
  }
})

t.test('OPTIONS may ask about no path at all, in both forms', async (t) => {
  const asterisk = { path: '*', folded: '*', alternatives: [], query: '' }
  t.same(parseTarget('*', 'OPTIONS'), { ...asterisk, authority: null })
  // RFC 9112 section 3.2.4: the last proxy turns the one into the other.
  t.same(parseTarget('http://a.example', 'OPTIONS'), { ...asterisk, authority: 'a.example' })
  t.match(parseTarget('http://a.example/', 'OPTIONS'), { path: '/' })
  t.match(parseTarget('http://a.example?x', 'OPTIONS'), { path: '/', query: '?x' })
  for (const method of ['GET', 'POST', 'HEAD', 'options']) t.equal(parseTarget('*', method), null, method)
})

const piece = fc.constantFrom(
  ...['/', '.', '..', '%2e', '%2E', '%2f', '%2F', '%5c', ';', '%3b', '%25', '%', '\\', '%00', '%61', 'a', 'b', '*'],
  ...['%2a', '%2A', '?', '#', '\u00e9', '%c3', ' ', '//', 'http://', ':', '%3A', '%252e', '\u{1f600}'],
  ...['%20', '%0a', '.;', '. '],
)
const anyTarget = fc.oneof(
  fc.array(piece).map((pieces) => pieces.join('')),
  fc.array(piece).map((pieces) => `/${pieces.join('')}`),
  fc.string({ unit: 'binary' }),
  fc.webUrl({ withQueryParameters: true }),
)

t.test('no target makes it throw, and what is forwarded reads as itself', async () => {
  fc.assert(
    fc.property(anyTarget, fc.constantFrom('GET', 'OPTIONS'), (text, method) => {
      const target = parseTarget(text, method)
      if (target === null || target.path === '*') return
      assert.deepEqual(parseTarget(target.path + target.query, method), { ...target, authority: null })
      assert.ok(target.path.startsWith('/'))
      assert.ok(!/\/(?:\.|%2e){1,2}(?:\/|$)/i.test(target.path), target.path)
    }),
    { seed: 60, numRuns: 5000 },
  )
})

t.test('what is folded stays as it is, and so does every other reading', async () => {
  fc.assert(
    fc.property(anyTarget, (text) => {
      const target = parseTarget(text, 'GET')
      if (target === null) return
      for (const reading of [target.folded, ...target.alternatives]) {
        const again = parseTarget(reading, 'GET')
        assert.ok(again !== null, reading)
        assert.equal(again.path, reading)
        assert.ok(again.folded === reading || /%2F/.test(reading), reading)
      }
      const again = parseTarget(target.folded, 'GET')!
      assert.equal(again.folded, target.folded)
      assert.ok(target.alternatives.length < 24)
    }),
    { seed: 61, numRuns: 5000 },
  )
})

t.test('spellings that one upstream cannot tell apart have a reading in common', async () => {
  // How an upstream of each kind reads a path, written with none of the code under test.
  const merge = (path: string) => new URL(`http://x${path.replace(/\/{2,}/g, '/')}`).pathname.replace(/(.)\/$/, '$1')
  const upstreams: readonly ((path: string) => string)[] = [
    // nginx, Django: decode, merge, resolve.
    (path) => merge(path.replace(/%(2f|2e|61|3a)/gi, decodeURIComponent)),
    // ASP.NET, Go: decode all but the slash.
    (path) => merge(path.replace(/%(2e|61|3a)/gi, decodeURIComponent)).replace(/%2f/g, '%2F'),
    // Tomcat, Jetty: drop parameters, then decode.
    (path) => merge(path.replace(/;[^/]*/g, '').replace(/%(2e|61|3a)/gi, decodeURIComponent)),
    // A Node server that reads `new URL(request.url, base)`.
    (path) => (URL.canParse(path, 'http://x') ? merge(decodeURIComponent(new URL(path, 'http://x').pathname)) : ''),
  ]
  const plain = ['/admin', '/api/a:b/admin', '/a']
  const disguise = (path: string) =>
    fc
      .array(fc.tuple(fc.nat(20), fc.constantFrom('/', '/.', '/x/..', ';y', '/x%2f..', '%2f', '/x/..;z', '/%2e')))
      .map((inserts) =>
        inserts.reduce(
          (text, [at, insert]) => text.slice(0, at) + insert + text.slice(at),
          path.replaceAll('a', '%61').replaceAll(':', '%3A'),
        ),
      )
  const spelling = fc.constantFrom(...plain).chain(disguise)
  let hits = 0
  fc.assert(
    fc.property(spelling, (written) => {
      const target = parseTarget(`/${written.replace(/^\/+/, '')}`, 'GET') ?? parseTarget('/x', 'GET')!
      for (const read of upstreams) {
        const served = read(target.path)
        if (!plain.includes(served)) continue
        hits++
        const known = [target.path, target.folded, ...target.alternatives]
        assert.ok(known.includes(served), `${target.path} is served as ${served}, known as ${known}`)
      }
    }),
    { seed: 62, numRuns: 5000 },
  )
  assert.ok(hits > 500, `${hits} spellings reached a resource`)
})

t.test('a path of 100 KB is read in milliseconds', async (t) => {
  const parts = ['/', '//', '/..', '/%2e', '%2f', '%5c', ';', '/;', '%', '%2', '%61', 'a', '/a', '%2f%5c;', '\u00e9']
  for (const part of [...parts, '/../', '%2e%2e%2f', '..;/', '/x/..;']) {
    const target = `/${part.repeat(100_000 / part.length)}`
    const start = performance.now()
    parseTarget(target, 'GET')
    parseTarget(`${target}x`, 'GET')
    parseTarget(`http://a.example${target}`, 'GET')
    const took = performance.now() - start
    t.ok(took < 1000, `${part}: ${took} ms`)
  }
})
