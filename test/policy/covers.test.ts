import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { parseTarget } from '../../src/http/target.ts'
import { covers } from '../../src/policy/covers.ts'
import { compileMatch } from '../../src/policy/match.ts'
import { readPathPattern } from '../../src/policy/path-pattern.ts'
import type { Match } from '../../src/policy/types.ts'
import { EVERYTHING, READING } from '../fixtures/policy.ts'

function isCovered(outer: Partial<Match>, inner: Partial<Match>): boolean {
  return covers({ ...EVERYTHING, ...outer }, { ...EVERYTHING, ...inner }, 'insensitive')
}

t.test('a path pattern covers those whose every path it matches', async (t) => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['/a', '/a', true],
    ['/a', '/a/', true],
    ['/a', '/a/b', false],
    ['/*', '/a', true],
    ['/*', '/*', true],
    ['/a', '/*', false],
    ['/*', '/**', false],
    ['/**', '/', true],
    ['/**', '/a/**/b', true],
    ['/a/**', '/a', true],
    ['/a/**', '/*/b', false],
    ['/a/**/b', '/a/b', true],
    ['/a/**/b', '/a/**/c/b', true],
    ['/a/**/b', '/a/**', false],
    ['/a/*/**', '/a/**', false],
    ['/a/**/b/c', '/a/b/c', true],
    ['/a/b/**/b/c', '/a/b/c', false],
    ['/a', '/%61', true],
    ['/a', '/A', true],
    ['/*.css', '/a.css', true],
    ['/*.css', '/*.css', true],
    ['/*.css', '/*', false],
    ['/*.css', '/*a.css', false],
    ['/*', '/*.css', true],
    ['/**', '/a/*.css', true],
    ['/{a,b}', '/b', true],
    ['/{a,b}', '/{b,c}', false],
    ['/{a,*}', '/{b,c}', true],
  ]
  for (const [outer, inner, expected] of cases) {
    t.equal(isCovered({ paths: [outer] }, { paths: [inner] }), expected, `${outer} over ${inner}`)
  }
})

t.test('nothing asked covers anything, and each of several alternatives must be covered', async (t) => {
  t.equal(
    isCovered({}, { paths: ['/a'], methods: ['GET'], hosts: ['a.b'], headers: [{ name: 'x', value: '1' }] }),
    true,
  )
  t.equal(isCovered({ paths: ['/a'] }, {}), false)
  t.equal(isCovered({ paths: ['/a', '/b'] }, { paths: ['/b', '/a'] }), true)
  t.equal(isCovered({ paths: ['/a'] }, { paths: ['/a', '/b'] }), false)
})

t.test('methods, hosts and fields are covered as they match', async (t) => {
  t.equal(isCovered({ methods: ['GET'] }, { methods: ['GET', 'HEAD'] }), true)
  t.equal(isCovered({ methods: ['HEAD'] }, { methods: ['GET'] }), false)
  t.equal(isCovered({ hosts: ['*.a.b'] }, { hosts: ['x.a.b', '*.y.a.b'] }), true)
  t.equal(isCovered({ hosts: ['*.a.b'] }, { hosts: ['a.b'] }), false)
  t.equal(isCovered({ hosts: ['x.a.b'] }, { hosts: ['*.a.b'] }), false)
  const header = (value: string) => ({ headers: [{ name: 'x', value }] })
  t.equal(isCovered(header('v*'), header('v1')), true)
  t.equal(isCovered(header('v*'), header('v*')), true)
  t.equal(isCovered(header('*'), header('v*1')), true)
  t.equal(isCovered(header('v1'), header('v*')), false)
  t.equal(isCovered(header('v1'), {}), false)
})

t.test('no path is matched by a covered pattern and missed by what covers it', async () => {
  const segment = fc.constantFrom('a', 'b', '*', '**', '', '%61', 'A', '*b', '{a,b}', 'a*')
  const pattern = fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .map((segments) => `/${segments.join('/')}`)
    .filter((text) => 'value' in readPathPattern(text))
  const path = fc
    .array(fc.constantFrom('a', 'b', 'B', 'c', '', '%61', 'a%2Fb', 'b;x', 'ab', 'a.', 'a%20'), {
      minLength: 1,
      maxLength: 5,
    })
    .map((segments) => `/${segments.join('/')}`)
  let covered = 0
  fc.assert(
    fc.property(pattern, pattern, fc.array(path, { minLength: 20, maxLength: 20 }), (outer, inner, paths) => {
      if (!isCovered({ paths: [outer] }, { paths: [inner] })) return
      covered++
      const match = compileMatch(
        [outer, inner].map((one) => ({ match: { ...EVERYTHING, paths: [one] } })),
        'folded',
        READING,
      )
      for (const one of paths) {
        const target = parseTarget(one, 'GET')
        if (target === null) continue
        const found = match({ method: 'GET', target, host: '', names: [], rawHeaders: [] })
        assert.notEqual(found[0]?.match.paths[0] === inner && outer !== inner, true, `${outer} over ${inner}: ${one}`)
      }
    }),
    { seed: 83, numRuns: 6000 },
  )
  assert.ok(covered > 300, `${covered} pairs told something`)
})
