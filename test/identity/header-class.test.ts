import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { languageTags } from '../../src/identity/header-class.ts'

const CASES: readonly (readonly [field: string | undefined, tags: string])[] = [
  [undefined, ''],
  ['', ''],
  [',', ''],
  [' , ;q=0.5, ', ''],
  ['de', 'de'],
  ['*', '*'],
  ['de-DE,de;q=0.9,en;q=0.8', 'de,de-de,en'],
  ['en;q=0.1,DE-de;q=0.2,de', 'de,de-de,en'],
  ['en ; q=0.1 , de-DE\t;q=0.2 ,de;level=1', 'de,de-de,en'],
  ['de,de,DE;q=0.1', 'de'],
  ['de;q=0', 'de'],
]

for (const [field, tags] of CASES) {
  t.test(`Accept-Language ${JSON.stringify(field)} has the tags ${JSON.stringify(tags)}`, async (t) => {
    t.equal(languageTags(field), tags)
  })
}

t.test('order, case, weights and spaces make no difference, and the tags do', async () => {
  const tag = fc.constantFrom('de', 'de-DE', 'en', 'en-US', 'fr', 'pt-BR', 'zh-Hant-TW')
  const dressed = (tag: string) =>
    fc
      .tuple(fc.constantFrom('', ' ', '\t'), fc.boolean(), fc.constantFrom('', ';q=0.1', ' ; q=1.000', ';q='))
      .map(([space, isUpper, weight]) => `${space}${isUpper ? tag.toUpperCase() : tag}${weight}${space}`)
  const pair = fc
    .uniqueArray(tag, { minLength: 1 })
    .chain((tags) => fc.tuple(fc.constant(tags), fc.shuffledSubarray(tags, { minLength: tags.length })))
    .chain(([tags, shuffled]) => fc.tuple(fc.constant(tags), fc.tuple(...shuffled.map(dressed))))
  fc.assert(
    fc.property(pair, ([tags, ranges]) => {
      assert.equal(languageTags(ranges.join(',')), languageTags(tags.join(',')))
      assert.notEqual(languageTags([...ranges, 'tlh'].join(',')), languageTags(tags.join(',')))
    }),
    { seed: 40 },
  )
})

t.test('a long field costs no more than its length', async (t) => {
  for (const part of ['a,', ',', ';', ' ', 'a;']) {
    const start = performance.now()
    languageTags(part.repeat(100_000))
    t.ok(performance.now() - start < 1000, part)
  }
})
