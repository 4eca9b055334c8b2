import fc from 'fast-check'
import t from 'tap'
import { editDistance, nearest } from '../../src/policy/nearest.ts'

const KEYS = ['name', 'per', 'rate', 'burst', 'match', 'on_error', 'newcomers', 'max_connections']

t.test('a mistyped key names the one that was meant', async (t) => {
  for (const [written, meant] of [
    ['burts', 'burst'],
    ['brust', 'burst'],
    ['Rate', 'rate'],
    ['rates', 'rate'],
    ['onError', 'on_error'],
    ['on-error', 'on_error'],
    ['newcommers', 'newcomers'],
    ['max_connection', 'max_connections'],
  ] as const) {
    t.equal(nearest(written, KEYS), meant, written)
  }
})

t.test('a key that is like none names none', async (t) => {
  for (const written of ['foo', 'limit', 'x', '', 'a'.repeat(100_000)]) t.equal(nearest(written, KEYS), undefined)
})

t.test('the distance is none to itself, the same both ways, and one for one slip', async (t) => {
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(word, (a) => editDistance(a, a) === 0),
    { seed: 1 },
  )
  fc.assert(
    fc.property(word, word, (a, b) => editDistance(a, b) === editDistance(b, a)),
    { seed: 1 },
  )
  fc.assert(
    fc.property(word, word, (a, b) => editDistance(`${a}-${b}`, `${a}${b}`) === 1),
    { seed: 1 },
  )
  t.equal(editDistance('ab', 'ba'), 1)
  t.equal(editDistance('kitten', 'sitting'), 3)
})
