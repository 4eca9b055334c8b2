import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { createKeyring } from '../../src/identity/keyring.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const keyring = createKeyring([SECRET])

t.test('a pseudonym is 128 bits in base64url, always the same', async (t) => {
  for (const parts of [[], [''], ['a'], ['x'.repeat(1_000_000)], ['\u00ff\u{1f600}']]) {
    const id = keyring.pseudonym('class', parts)
    t.match(id, /^[A-Za-z0-9_-]{22}$/)
    t.equal(createKeyring([SECRET]).pseudonym('class', parts), id)
  }
})

t.test('pseudonyms stay what they are from release to release', async (t) => {
  // Golden: another value here means that an upgrade refills every bucket in Redis.
  t.equal(keyring.pseudonym('network', ['198.51.100.7/32']), 'SZ1wJj45Rtda6B0ZclOfKQ')
  t.equal(keyring.pseudonym('class', ['a', 'b']), 'wPBediLV2daxtQWi9czKyw')
  t.equal(keyring.pseudonym('principal', ['api_key', 'acme']), 'oFhpXGT_6sAySzZq5J1-Fw')
})

t.test('pseudonyms of two purposes never compare', async (t) => {
  const ids = (['network', 'class', 'principal'] as const).map((purpose) => keyring.pseudonym(purpose, ['x']))
  t.equal(new Set(ids).size, 3)
})

t.test('another secret gives other pseudonyms', async (t) => {
  t.not(createKeyring([`${SECRET}!`]).pseudonym('class', ['x']), keyring.pseudonym('class', ['x']))
})

t.test('the last secret names buckets, so that rotating a new first one in refills none', async (t) => {
  for (const purpose of ['network', 'class', 'principal'] as const) {
    const id = keyring.pseudonym(purpose, ['x'])
    t.equal(createKeyring(['a new one', SECRET]).pseudonym(purpose, ['x']), id)
    t.equal(createKeyring(['the newest', 'a new one', SECRET]).pseudonym(purpose, ['x']), id)
    t.not(createKeyring([SECRET, 'a new one']).pseudonym(purpose, ['x']), id)
  }
})

t.test('two lists of parts share a pseudonym only when they are equal', async () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'b', '|', ':', '1', '\0', '', '\u00e9', '\u20ac') })
  const parts = fc.array(part, { maxLength: 4 })
  const resplit = parts.chain((list) => {
    const whole = list.join('')
    return fc.tuple(
      fc.constant(list),
      fc.nat(whole.length).map((at) => [whole.slice(0, at), whole.slice(at)]),
    )
  })
  fc.assert(
    fc.property(fc.oneof(resplit, fc.tuple(parts, parts)), ([a, b]) => {
      const isSame = a.length === b.length && a.every((each, i) => each === b[i])
      assert.equal(keyring.pseudonym('class', a) === keyring.pseudonym('class', b), isSame)
    }),
    { seed: 41, numRuns: 1000 },
  )
})
