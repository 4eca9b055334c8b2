import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { cookieOf, withoutCookies } from '../../src/identity/cookie-field.ts'

const NAMES = new Set(['sluice-1', '__Host-sluice-1'])

for (const [field, value] of [
  ['sluice-1=abc', 'abc'],
  ['a=1; sluice-1=abc; b=2', 'abc'],
  ['a=1;sluice-1=abc;b=2', 'abc'],
  ['a=1; \tsluice-1=abc ;b', 'abc'],
  ['sluice-1=; a=1', ''],
  ['sluice-1=first; sluice-1=second', 'first'],
  ['sluice-1=a=b', 'a=b'],
  ['xsluice-1=no; sluice-1=abc', 'abc'],
  ['x=sluice-1=no', null],
  ['x= sluice-1=no', null],
  ['sluice-1', null],
  ['sluice-12=no', null],
  ['Sluice-1=no', null],
  ['', null],
] as const) {
  t.test(`the cookie sluice-1 of ${JSON.stringify(field)} is ${JSON.stringify(value)}`, async (t) => {
    t.equal(cookieOf(field, 'sluice-1'), value)
  })
}

for (const [field, rest] of [
  ['sluice-1=abc', ''],
  ['sluice-1=abc; a=1', 'a=1'],
  ['a=1; sluice-1=abc', 'a=1'],
  ['a=1; sluice-1=abc; b=2', 'a=1; b=2'],
  ['a=1;sluice-1=abc ;  b=2', 'a=1;  b=2'],
  ['__Host-sluice-1=x; a=1; sluice-1=y', 'a=1'],
  ['a=1; sluice-1=x; sluice-1=y;b', 'a=1;b'],
  ['a="x; y"; sluice-1', 'a="x; y"'],
] as const) {
  t.test(`${JSON.stringify(field)} without our cookies is ${JSON.stringify(rest)}`, async (t) => {
    t.equal(withoutCookies(field, NAMES), rest)
  })
}

t.test('a field without our cookies stays as it is, to the byte', async () => {
  const field = fc.string({ unit: fc.constantFrom(';', ' ', '=', 'a', 'sluice', '-', '1x', '"', '\t'), maxLength: 30 })
  fc.assert(
    fc.property(field, (text) => {
      const rest = withoutCookies(text, NAMES)
      const names = text.split(';').map((pair) => pair.split('=')[0]!.trim())
      if (!names.some((name) => NAMES.has(name))) assert.equal(rest, text)
      assert.equal(cookieOf(rest, 'sluice-1'), null)
    }),
    { seed: 2, numRuns: 1000 },
  )
})
