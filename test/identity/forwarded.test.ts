import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { forwardedElements, forwardedNode } from '../../src/identity/forwarded.ts'

const forwardedNodes = (field: string) => forwardedElements(field).map(forwardedNode)

const CASES: readonly (readonly [field: string, nodes: readonly string[]])[] = [
  ['for=198.51.100.7', ['198.51.100.7']],
  ['For="198.51.100.7:4711";proto=http;by=10.0.0.1', ['198.51.100.7:4711']],
  ['for="[2001:db8::1]:4711"', ['[2001:db8::1]:4711']],
  ['for=192.0.2.1, for=198.51.100.7', ['198.51.100.7', '192.0.2.1']],
  ['for=192.0.2.1,for=198.51.100.7;proto=https', ['198.51.100.7', '192.0.2.1']],
  ['proto=http;for=192.0.2.1', ['192.0.2.1']],
  ['for = 192.0.2.1 ; proto = http', ['192.0.2.1']],
  ['for=unknown', ['unknown']],
  ['for="_gazonk"', ['_gazonk']],
  ['proto=http', ['']],
  ['', ['']],
  ['for=', ['']],
  ['for=""', ['']],
  ['xfor=192.0.2.1', ['']],
  ['by=192.0.2.1', ['']],
  ['for="192.0.2.1', ['']],
  ['for=192.0.2.1"', ['']],
  ['for="192.0.2\\.1"', ['']],
  ['for=192.0.2.1;for=192.0.2.2', ['']],
  ['host="a,for=9.9.9.9;x=";for=198.51.100.7', ['198.51.100.7']],
  ['for=198.51.100.7;host="a,for=9.9.9.9;x="', ['198.51.100.7']],
  ['host="a;for=9.9.9.9";for=198.51.100.7', ['198.51.100.7']],
  ['for=198.51.100.7;host="a\\",for=9.9.9.9;x=\\""', ['198.51.100.7']],
  ['for=198.51.100.7;host="a\\\\"', ['198.51.100.7']],
  ['for=198.51.100.7;host="\\", for=9.9.9.9"', ['198.51.100.7']],
]

for (const [field, nodes] of CASES) {
  t.test(`Forwarded: ${field} names ${JSON.stringify(nodes)}`, async (t) => {
    t.same(forwardedNodes(field), nodes)
  })
}

t.test('a quote that a client leaves open does not swallow what a proxy appends', async (t) => {
  t.equal(forwardedNodes('for="9.9.9.9, for=198.51.100.7')[0], '198.51.100.7')
  t.equal(forwardedNodes('for="9.9.9.9\\, for=198.51.100.7;host="a"')[0], '198.51.100.7')
})

t.test('whatever a client writes, in the field or as its Host, the proxy names the client', async () => {
  const text = fc.string({ unit: fc.constantFrom('"', '\\', ',', ';', '=', 'f', 'o', 'r', 'for=9.9.9.9', ' ', 'a') })
  const quoted = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`
  fc.assert(
    fc.property(text, text, fc.boolean(), (before, host, isLast) => {
      const element = isLast ? `host=${quoted(host)};for=198.51.100.7` : `for=198.51.100.7;host=${quoted(host)}`
      assert.equal(forwardedNodes(`${before}, ${element}`)[0], '198.51.100.7')
    }),
    { seed: 22, numRuns: 2000 },
  )
})

t.test('no more hops are read than are asked for, and a long field costs no more than its length', async (t) => {
  t.same(forwardedNodes('for=a,for=b,for=c'), ['c', 'b', 'a'])
  for (const part of ['"', '\\', '\\"', ',', ';', 'for="', ' ']) {
    const start = performance.now()
    forwardedNodes(part.repeat(100_000))
    t.ok(performance.now() - start < 1000, part)
  }
})
