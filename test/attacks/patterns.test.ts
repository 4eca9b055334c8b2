import t from 'tap'
import { compileMatch } from '../../src/policy/match.ts'
import { EVERYTHING, READING } from '../fixtures/policy.ts'
import { factsOf } from '../proxy/facts-of.ts'

/** Milliseconds for what linear matching does in less than one. */
const BOUND = 1000

t.test('policy patterns cannot backtrack', async (t) => {
  const stars = (count: number) => `/${'*/'.repeat(count)}z`
  const patterns = [
    stars(20),
    `/**${stars(30)}`,
    `${stars(30)}/**`,
    '/**/a/a/a/a/a/a/a/a/z',
    `${'/a'.repeat(200)}/*/z`,
    '/**/a',
  ]
  // As long as each may be (http/path-readings.ts).
  const paths = [
    `/${'a/'.repeat(4000)}`,
    `/${'a'.repeat(8000)}`,
    '/a'.repeat(3999),
    `/${'%61/'.repeat(1000)}`,
    `/${'a;b/'.repeat(500)}`,
  ]
  for (const pattern of patterns) {
    for (const form of ['strict', 'folded'] as const) {
      const find = compileMatch([{ match: { ...EVERYTHING, paths: [pattern] } }], form, READING)
      for (const path of paths) {
        const begun = performance.now()
        find(factsOf({ url: path }))
        const took = performance.now() - begun
        t.ok(took < BOUND, `${pattern.slice(0, 30)} on ${path.slice(0, 10)}, ${form}: ${took} ms`)
      }
    }
  }

  t.test('nor can patterns of values, or of hosts', async (t) => {
    for (const value of ['*a*a*a*a*a*a*a*a*b', '*'.repeat(50), `${'a*'.repeat(30)}b`]) {
      const match = { ...EVERYTHING, headers: [{ name: 'x-a', value }], hosts: ['*.a.example'] }
      const find = compileMatch([{ match }], 'folded', READING)
      const begun = performance.now()
      find(factsOf({ host: `${'a.'.repeat(100)}a.example`, fields: ['X-A', 'a'.repeat(15_000)] }))
      const took = performance.now() - begun
      t.ok(took < BOUND, `${value}: ${took} ms`)
    }
  })
})
