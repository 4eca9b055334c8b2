import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseList } from 'structured-headers'
import t from 'tap'
import { limitMember, policyMember, seconds, upstreamMembers } from '../../src/http/rate-fields.ts'

const name = fc.stringMatching(/^[a-z0-9_-]{1,64}$/)
const whole = fc.integer({ min: 0, max: 999_999_999_999 })

t.test('what we write are members of a Structured Fields list with the values meant', async () => {
  const quota = fc.tuple(name, whole, whole)
  fc.assert(
    fc.property(fc.array(quota, { minLength: 1, maxLength: 5 }), (quotas) => {
      const policy = parseList(quotas.map((quota) => policyMember(...quota)).join(', '))
      const limit = parseList(quotas.map((quota) => limitMember(...quota)).join(', '))
      for (const [i, [name, first, second]] of quotas.entries()) {
        assert.equal(policy[i]![0], name)
        assert.deepEqual([...policy[i]![1]], [['q', first], ['w', second]]) // biome-ignore format: pairs
        assert.equal(limit[i]![0], name)
        assert.deepEqual([...limit[i]![1]], [['r', first], ['t', second]]) // biome-ignore format: pairs
      }
    }),
    { seed: 70 },
  )
})

t.test('they look as the draft writes them', async (t) => {
  t.equal(policyMember('device', 30, 30), '"device";q=30;w=30')
  t.equal(limitMember('device', 0, 7), '"device";r=0;t=7')
})

t.test('seconds are rounded up', async (t) => {
  for (const [us, s] of [[0, 0], [1, 1], [999_999, 1], [1_000_000, 1], [1_000_001, 2]] as const) t.equal(seconds(us), s) // biome-ignore format: pairs
})

t.test("an upstream's members are kept but for those that bear our names or do not parse", async (t) => {
  const rows: readonly (readonly [field: string, kept: string])[] = [
    ['', ''],
    ['"api";r=5;t=3', '"api";r=5;t=3'],
    ['"device";r=5;t=3', ''],
    ['"api";r=5;t=3, "device";r=1', '"api";r=5;t=3'],
    ['"device";r=1,"api";r=5 , "other";q=1;w=2', '"api";r=5, "other";q=1;w=2'],
    // Two lines of one field are one list.
    ['"api";r=5, "other";r=6', '"api";r=5, "other";r=6'],
    ['"a, b";r=1', '"a, b";r=1'],
    ['"a\\"b";r=1', '"a\\"b";r=1'],
    ['"api";pk=:AAEC:', '"api";pk=:AAEC:'],
    // Older drafts: a dictionary, bare numbers, tokens.
    ['limit=10, remaining=5, reset=3', ''],
    ['10, 10;w=60', ''],
    ['10', ''],
    ['api;r=5', ''],
    ['api;r=5, "kept";r=1', '"kept";r=1'],
    ['("api" "b");r=5', ''],
    [':AAEC:', ''],
    ['?1', ''],
    // Not Structured Fields at all.
    ['"api";r=5,', ''],
    ['"open', ''],
    ['"caf\u00e9";r=1', ''],
    ['"a"\r\nX: y', ''],
  ]
  for (const [field, kept] of rows) t.equal(upstreamMembers(field, ['device', 'login']), kept, JSON.stringify(field))
})

t.test('whatever an upstream sends, what is kept is a list of strings without our names', async () => {
  const piece = fc.constantFrom(
    '"api"',
    '"device"',
    ';r=1',
    ';t',
    ', ',
    ',',
    ' ',
    'token',
    '1',
    '(',
    ')',
    '"',
    '\\',
    ':',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece).map((all) => all.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (field) => {
        const kept = parseList(upstreamMembers(field, ['device']))
        for (const [value] of kept) assert.ok(typeof value === 'string' && value !== 'device')
      },
    ),
    { seed: 71, numRuns: 2000 },
  )
})
