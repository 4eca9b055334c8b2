import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { cookieOf, cookieReadings, withoutCookies } from '../../src/identity/cookie-field.ts'

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

for (const [field, readings] of [
  ['sid=1', ['1']],
  ['a=b; sid=1; c', ['1']],
  ['sid=1; sid=1', ['1']],
  ['sid=1; sid=2', ['1', '2']],
  ['sid=1; sid =2', ['1', '2']],
  ['sid\t= 1 ; a', ['1']],
  ['sid=1; SID=2', ['1', '2']],
  ['Sid=2', ['2']],
  ['sid="1"', ['1']],
  ['sid="1"; sid=1', ['1']],
  ['sid="1', ['"1', '']],
  ['sid=%61b; sid=a%62', ['ab']],
  ['sid=a+b; sid=a%20b', ['a b']],
  ['sid=%2F%zz', ['/%zz']],
  ['a="x; sid=2"; sid=1', ['2"', '2']],
  ['sid=1 sid=2', ['1 sid=2', '1']],
  ['sid=1 x=2', ['1 x=2', '1']],
  ['sid=1,sid=2', ['1,sid=2', '1']],
  ['a=1,sid=2; sid=1', ['2', '1']],
  ['sid="\\061"', ['\\061', '']],
  ['$Version=1; sid=1; $Path=/', ['1']],
  ['=sid=2; sid=1', ['2', '1']],
  ['sid; sid=1', ['', '1']],
  ['sid', ['']],
  ['sid=', ['']],
  ['=1; =2', []],
  ['xsid=1; sid2=2; x=sid; y=sid=3', []],
  ['', []],
] as const) {
  t.test(`sid of ${JSON.stringify(field)} may be read as ${JSON.stringify(readings)}`, async (t) => {
    t.same(cookieReadings(field, 'sid'), readings)
  })
}

t.test('a name with an underscore is one that PHP makes of others', async (t) => {
  t.same(cookieReadings('my_sid=1; my.sid=2', 'my_sid'), ['1', '2'])
  t.same(cookieReadings('a=b; my sid=1', 'my_sid'), ['1'])
  t.same(cookieReadings('my.sid=1; my-sid=2', 'my.sid'), ['1'])
})

t.test('a field full of the cookie is read in one pass', async (t) => {
  for (const piece of ['sid=,', 'sid =', 'sid=a;', ' sid', '=sid', 'sid=a"', '; =sid=']) {
    const field = piece.repeat(Math.ceil(200_000 / piece.length))
    const began = process.cpuUsage().user
    cookieReadings(field, 'sid')
    const spent = (process.cpuUsage().user - began) / 1000
    t.ok(spent < 500, `${piece}: ${spent} ms`)
  }
})
