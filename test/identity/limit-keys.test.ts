import fc from 'fast-check'
import t from 'tap'
import { createKeyring } from '../../src/identity/keyring.ts'
import { compileLimitKeys, type KeySubject, sourceText } from '../../src/identity/limit-keys.ts'
import type { Source } from '../../src/policy/types.ts'
import { networkOf } from '../fixtures/evidence.ts'
import { limitOf } from '../fixtures/policy.ts'
import { factsOf, type RequestLike } from '../proxy/facts-of.ts'

const SOURCES: readonly Source[] = [
  { kind: 'header', name: 'x-tenant' },
  { kind: 'cookie', name: '__proto__' },
  { kind: 'query', name: 'constructor' },
  { kind: 'path', segment: 2 },
]

function compile(sources: readonly Source[] = SOURCES) {
  const inner = createKeyring(['a secret of at least thirty-two bytes'])
  const counted = { hmacs: 0 }
  const keyring: typeof inner = {
    pseudonym(...args) {
      counted.hmacs++
      return inner.pseudonym(...args)
    },
  }
  const limit = limitOf({ per: sources })
  const read = compileLimitKeys([limit], {
    keyring,
    areTokensVerified: false,
    pathCase: 'insensitive',
    methodOverride: 'strip',
    isPeerField: () => false,
  })
  const subjectOf = (request: RequestLike): KeySubject => {
    return { facts: factsOf(request), isPeerTrusted: false, network: networkOf('office'), verified: null }
  }
  const keyOf = (subject: KeySubject) => {
    const keys = read([{ limit }], subject)
    if (keys === null || 'status' in keys) throw new Error('no keys')
    return keys.get(limit.name)!
  }
  return { counted, subjectOf, keyOf, nameOf: (request: RequestLike) => keyOf(subjectOf(request)).name('') }
}

t.test('the same values have the same name, and values that differ anywhere another', async () => {
  const { nameOf } = compile()
  const value = fc.oneof(
    fc.constantFrom('a', 'a|b', '-', '0', '1', '01', '1:a', 'header:x-tenant', '__proto__', 'toString', '\u00fc'),
    fc.stringMatching(/^[a-z0-9:|,-]{1,12}$/),
  )
  const values = fc.tuple(value, value, value, value)
  type Values = readonly [string, string, string, string]
  const requestOf = ([tenant, cookie, query, segment]: Values): RequestLike => {
    const fields = ['X-Tenant', tenant, 'Cookie', `__proto__=${encodeURIComponent(cookie)}`]
    return { url: `/t/${encodeURIComponent(segment)}?constructor=${encodeURIComponent(query)}`, fields }
  }
  fc.assert(
    fc.property(values, values, (one, other) => {
      const isSame = one.every((text, i) => text === other[i])
      return (nameOf(requestOf(one)) === nameOf(requestOf(other))) === isSame && nameOf(requestOf(one)).length === 22
    }),
    { numRuns: 300 },
  )
})

t.test('values seen lately cost no HMAC, and the memory of them is bounded by their bytes', async (t) => {
  const { counted, nameOf, keyOf, subjectOf } = compile([{ kind: 'header', name: 'x-tenant' }])
  const request = (tenant: string) => ({ fields: ['X-Tenant', tenant] })
  for (let i = 0; i < 1000; i++) nameOf(request('a'))
  t.equal(counted.hmacs, 1)
  const long = 'x'.repeat(1024 * 1024)
  for (let i = 0; i < 20; i++) nameOf(request(`${long}${i}`))
  t.equal(counted.hmacs, 21)
  nameOf(request(`${long}19`))
  t.equal(counted.hmacs, 21)
  nameOf(request(`${long}0`))
  t.equal(counted.hmacs, 22, 'of a megabyte each only a few are kept')
  const key = keyOf(subjectOf(request('a')))
  t.equal(key.name(''), key.name('another device'), 'where no source is a device its id makes no difference')
})

t.test('a segment that an upstream reads without its end or its letter case is the same key', async (t) => {
  const { nameOf } = compile([{ kind: 'path', segment: 2 }])
  const name = nameOf({ url: '/t/acme/x' })
  for (const segment of ['Acme', 'ACME', '%41cme', 'acme;v=1', 'acme.', 'acme%20', 'acme%0a', 'Acme%20.;x']) {
    t.equal(nameOf({ url: `/t/${segment}/x` }), name, segment)
  }
  for (const segment of ['acm', 'a.cme', 'ac%20me']) t.not(nameOf({ url: `/t/${segment}/x` }), name, segment)
})

t.test('what a request does not have is missing, not an error', async (t) => {
  for (const source of SOURCES) {
    const { keyOf, subjectOf } = compile([source])
    for (const url of ['/', '/t', '/t/', '/t?', '/?other=1']) {
      t.equal(keyOf(subjectOf({ url, fields: ['Cookie', ''] })).isMissing, true, `${sourceText(source)} of ${url}`)
    }
  }
  const { keyOf, subjectOf } = compile([{ kind: 'path', segment: 1 }])
  t.equal(keyOf(subjectOf({ url: '*', method: 'OPTIONS' })).isMissing, true)
})

t.test('a policy without lists of sources reads nothing', async (t) => {
  const keyring = createKeyring(['a secret of at least thirty-two bytes'])
  const limit = limitOf()
  const read = compileLimitKeys([limit], {
    keyring,
    areTokensVerified: true,
    pathCase: 'insensitive',
    methodOverride: 'strip',
    isPeerField: () => false,
  })
  t.equal(read([{ limit }], {} as KeySubject), null)
})
