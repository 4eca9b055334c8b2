import fc from 'fast-check'
import t from 'tap'
import { normaliseEmail } from '../../src/demo/email.ts'

const SAME = [
  ['ann@example.com', 'ann@example.com'],
  ['  Ann@Example.COM\t', 'ann@example.com'],
  ['ANN@example.com', 'ann@example.com'],
  ['ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ', 'ann@example.com'],
  ['ann\u212A@example.com', 'annk@example.com'],
  ['jose\u0301@example.com', 'jos\u00e9@example.com'],
  ['ann@B\u00fccher.example', 'ann@xn--bcher-kva.example'],
  ['ann@bu\u0308cher.EXAMPLE', 'ann@xn--bcher-kva.example'],
  ['ann+tag@example.com', 'ann+tag@example.com'],
] as const

const NONE = [
  '',
  ' ',
  'ann',
  '@example.com',
  'ann@',
  'ann@localhost',
  'ann@@example.com',
  'a b@example.com',
  'a\u0000b@example.com',
  'a\r\nb@example.com',
  'a\u200bb@example.com',
  '.ann@example.com',
  'ann.@example.com',
  'a..n@example.com',
  '"ann"@example.com',
  'Ann <ann@example.com>',
  'ann@exa mple.com',
  'ann@-example.com',
  'ann@example..com',
  'ann@example.com.',
  'ann@[127.0.0.1]',
  `${'a'.repeat(65)}@example.com`,
  `ann@${'a.'.repeat(130)}com`,
  `${'\ufdfa'.repeat(60)}@example.com`,
  `ann@${'x'.repeat(100_000)}.com`,
]

t.test('the spellings of one address become one', async (t) => {
  for (const [text, email] of SAME) t.equal(normaliseEmail(text), email, JSON.stringify(text))
})

t.test('what is no address is none', async (t) => {
  for (const text of NONE) t.equal(normaliseEmail(text), undefined, JSON.stringify(text.slice(0, 40)))
})

t.test('normalising twice changes nothing', async (t) => {
  const part = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  const address = fc.tuple(part, part).map(([local, domain]) => `${local}@${domain}.example`)
  fc.assert(
    fc.property(fc.oneof(address, fc.emailAddress()), (text) => {
      const once = normaliseEmail(text)
      return once === undefined || normaliseEmail(once) === once
    }),
    { numRuns: 2000 },
  )
  t.pass()
})
