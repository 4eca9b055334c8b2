import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import fc from 'fast-check'
import t from 'tap'
import { createDeviceMarks, type DeviceMark } from '../../src/identity/device-mark.ts'

const MINUTE = 60_000
const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 22)
const OLD = 'an old secret of thirty-two bytes'
const NEW = 'a new secret of thirty-two bytes!'
const MARK: DeviceMark = {
  device: 'AAECAwQFBgcICQoL',
  issuedMs: NOW - DAY,
  signedMs: NOW - MINUTE,
  grade: 2,
  home: 0xbeef,
}
const marks = createDeviceMarks([OLD], 7 * DAY)

t.test('what is signed is read, whatever it says', async () => {
  const minutes = fc.integer({ min: 0, max: 2 ** 32 - 1 - 2 ** 24 })
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      minutes,
      fc.integer({ min: 0, max: 2 ** 24 - 1 }),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 65_535 }),
      (device, issued, after, grade, home) => {
        const signedMs = (issued + after) * MINUTE
        const mark = {
          device: Buffer.from(device).toString('base64url'),
          issuedMs: issued * MINUTE,
          signedMs,
          grade,
          home,
        }
        const text = marks.sign(mark)
        assert.match(text, /^[\w-]{52}$/)
        assert.deepEqual(marks.read(text, signedMs), mark)
      },
    ),
    { seed: 1, numRuns: 500 },
  )
})

t.test('marks stay what they are from release to release', async (t) => {
  // Made by hand: HKDF and HMAC of another language.
  t.equal(marks.sign(MARK), 'EmEByIxAAAWfAAECAwQFBgcICQoLvu9wM2x3BCAHFuTmjpvXCAQT')
})

t.test('another text than the one that was signed is never believed', async (t) => {
  const text = marks.sign(MARK)
  const bytes = Buffer.from(text, 'base64url')
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const forged = Buffer.from(bytes)
    forged[bit >> 3]! ^= 1 << (bit & 7)
    const read = marks.read(forged.toString('base64url'), NOW)
    if (typeof read !== 'string') t.fail(`bit ${bit} may change`)
  }
  for (let length = 0; length < text.length; length++) t.equal(marks.read(text.slice(0, length), NOW), 'malformed')
  for (const wrong of [`${text}A`, `${text}=`, ` ${text}`, text.replace(/^./, '+'), `${text.slice(0, 51)}\u00e9`]) {
    t.equal(marks.read(wrong, NOW), 'malformed', wrong)
  }
  t.same(marks.read(text, NOW), MARK, 'and it is still believed itself')
})

t.test('a mark ends with its life, counted from its last signing, also while it is remembered', async (t) => {
  const text = marks.sign(MARK)
  t.same(marks.read(text, MARK.signedMs + 7 * DAY - 1), MARK)
  t.equal(marks.read(text, MARK.signedMs + 7 * DAY), 'expired')
  t.same(marks.read(text, MARK.signedMs - 5 * MINUTE), MARK, 'the clock of an instance may be behind')
  t.equal(marks.read(text, MARK.signedMs - 5 * MINUTE - 1), 'future')
})

t.test('the first secret signs, all of them verify, and one that is gone does not', async (t) => {
  const both = createDeviceMarks([NEW, OLD], 7 * DAY)
  const only = createDeviceMarks([NEW], 7 * DAY)
  t.same(both.read(marks.sign(MARK), NOW), MARK)
  t.same(only.read(both.sign(MARK), NOW), MARK)
  t.equal(only.read(marks.sign(MARK), NOW), 'forged')
  t.equal(marks.read(both.sign(MARK), NOW), 'forged')
})

t.test('a mark that was verified lately costs no HMAC', async (t) => {
  const text = marks.sign(MARK)
  const fresh = createDeviceMarks([OLD], 7 * DAY)
  let hmacs = 0
  const { createHmac } = crypto
  crypto.createHmac = (...args: Parameters<typeof createHmac>) => {
    hmacs++
    return createHmac(...args)
  }
  syncBuiltinESMExports()
  t.teardown(() => {
    crypto.createHmac = createHmac
    syncBuiltinESMExports()
  })
  t.same(fresh.read(text, NOW), MARK)
  t.equal(hmacs, 1, 'the count counts')
  for (let n = 0; n < 100; n++) fresh.read(text, NOW)
  t.equal(hmacs, 1)
})
