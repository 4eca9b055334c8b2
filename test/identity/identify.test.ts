import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { parseAddress } from '../../src/identity/address.ts'
import { compileIdentify, type Identify } from '../../src/identity/identify.ts'
import { createKeyring, type Keyring } from '../../src/identity/keyring.ts'
import { createMembership } from '../../src/identity/membership.ts'
import type { IdentityPolicy } from '../../src/policy/types.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const KEY = 'key of acme'
const NOW = Date.UTC(2026, 10, 22)

const POLICY: IdentityPolicy = {
  secrets: [SECRET],
  secretIsRandom: false,
  trustedProxies: [],
  clientAddress: { kind: 'peer' },
  network: { ipv4: 32, ipv6: 64, ipv6Parents: [] },
  deviceCookie: { enabled: false, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' },
  jwt: [],
  clientCertificate: null,
  networks: [],
  apiKeys: {
    header: 'x-api-key',
    principals: new Map([
      [createHash('sha256').update(KEY).digest('hex'), 'acme'],
      [createHash('sha256').update('other key').digest('hex'), 'globex'],
    ]),
    enrolment: 'controlled',
  },
  admission: { maxDevices: 512, burst: 128, rate: { tokens: 64, seconds: 60 }, idle: 1_800_000 },
}

const BROWSER = { 'user-agent': 'Mozilla/5.0 (X11)', 'accept-language': 'de-DE,de;q=0.9,en;q=0.8' }

/** A keyring that counts what it is asked for; ids are the parts themselves, so that a clash shows as one. */
function countingKeyring(): Keyring & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    pseudonym(purpose, parts) {
      const id = JSON.stringify([purpose, ...parts])
      asked.push(id)
      return id
    },
  }
}

function identify(policy: Partial<IdentityPolicy> = {}, keyring?: Keyring): Identify {
  const whole = { ...POLICY, ...policy }
  return compileIdentify(whole, keyring ?? createKeyring(whole.secrets))
}

function identityOf(headers: IncomingHttpHeaders, address = '198.51.100.7', by = identify()) {
  const evidence = by.evidence(by.network(parseAddress(address)!), headers, false, NOW)
  const identity = createMembership({ policy: POLICY.admission }).stand(evidence, 0, NOW)
  // A token has a bucket of its own besides: here it is the class that matters.
  return identity.pool === 'none' ? identity : { ...identity, id: identity.classId, tag: identity.network.tag }
}

t.test('constant headers are one class, whoever is asked', async (t) => {
  const first = identityOf(BROWSER)
  t.match(first, { tier: 'class', id: /^[\w-]{22}$/, tag: /^[\w-]{8}$/ })
  t.equal(identityOf(BROWSER).id, first.id)
  const by = identify()
  t.equal(identityOf(BROWSER, '198.51.100.7', by).id, identityOf(BROWSER, '198.51.100.7', by).id)
})

t.test('what changes within one device does not change its class', async (t) => {
  const { id } = identityOf(BROWSER)
  const variants: readonly IncomingHttpHeaders[] = [
    { ...BROWSER, 'accept-language': 'en;q=0.1, DE-de, de;q=0.3' },
    { ...BROWSER, 'accept-language': 'de-DE,de,en' },
    { 'accept-language': BROWSER['accept-language'], 'user-agent': BROWSER['user-agent'] },
    { ...BROWSER, accept: 'image/avif', 'accept-encoding': 'br', 'sec-fetch-mode': 'navigate', 'sec-ch-ua': 'x' },
    { ...BROWSER, cookie: 'a=b', referer: '/', origin: 'https://a.example', 'x-forwarded-for': '9.9.9.9' },
    { ...BROWSER, authorization: '' },
    { ...BROWSER, 'x-api-key': '' },
  ]
  for (const variant of variants) t.equal(identityOf(variant).id, id, JSON.stringify(variant))
})

t.test('another User-Agent, language or token is another class of the same network', async (t) => {
  const first = identityOf(BROWSER)
  for (const change of [
    { 'user-agent': 'curl/8' },
    { 'user-agent': BROWSER['user-agent'].toLowerCase() },
    { 'accept-language': 'fr' },
    { authorization: 'Bearer 1' },
    { authorization: 'Bearer 2' },
    { 'x-api-key': 'unlisted' },
  ]) {
    const other = identityOf({ ...BROWSER, ...change })
    t.equal(other.tier, 'class')
    t.not(other.id, first.id, JSON.stringify(change))
    t.equal(other.network.id, first.network.id)
    t.equal(other.tag, first.network.tag)
  }
})

t.test('no claim makes a principal', async () => {
  const claim = fc.record(
    {
      'user-agent': fc.string(),
      'accept-language': fc.string(),
      authorization: fc.string(),
      'x-api-key': fc.string(),
      cookie: fc.string(),
      'x-forwarded-for': fc.ipV4(),
    },
    { requiredKeys: [] },
  )
  const by = identify()
  const { network } = identityOf({}, '198.51.100.7', by)
  fc.assert(
    fc.property(claim, (headers) => {
      const identity = identityOf(headers as IncomingHttpHeaders, '198.51.100.7', by)
      assert.notEqual(identity.tier, 'principal')
      assert.equal(identity.network.id, network.id)
      assert.equal(identity.tag, network.tag)
    }),
    { seed: 50, numRuns: 500 },
  )
})

t.test('a listed key is its principal, the same from every network and under any headers', async (t) => {
  const by = identify()
  const here = identityOf({ ...BROWSER, 'x-api-key': KEY }, '198.51.100.7', by)
  const there = identityOf({ 'user-agent': 'curl', 'x-api-key': KEY, authorization: 'x' }, '2001:db8::1', by)
  t.match(here, { tier: 'principal', id: /^[\w-]{22}$/ })
  t.equal(there.id, here.id)
  t.equal(there.tag, here.tag)
  t.equal(here.tag, here.id.slice(0, 8))
  t.equal(here.network.address, '198.51.100.7')
  t.equal(there.network.address, '2001:db8::1')
  t.not(here.network.id, there.network.id)
  t.not(identityOf({ 'x-api-key': 'other key' }, '198.51.100.7', by).id, here.id)
})

t.test('an unlisted key is a class of its network, another one elsewhere', async (t) => {
  const here = identityOf({ ...BROWSER, 'x-api-key': 'unlisted' })
  const there = identityOf({ ...BROWSER, 'x-api-key': 'unlisted' }, '198.51.100.8')
  t.equal(here.tier, 'class')
  t.not(here.id, there.id)
})

t.test('a client without any usable header overflows, however it leaves them out', async (t) => {
  const first = identityOf({})
  t.equal(first.tier, 'overflow')
  for (const headers of [
    { 'user-agent': '' },
    { 'accept-language': '' },
    { 'accept-language': ', ;q=1' },
    { authorization: '' },
    { 'x-api-key': '' },
    { 'user-agent': '', 'accept-language': ',', authorization: '', 'x-api-key': '' },
    { accept: '*/*', cookie: 'a=b' },
  ]) {
    t.match(identityOf(headers), { tier: 'overflow', id: first.id }, JSON.stringify(headers))
  }
  t.not(identityOf({}, '198.51.100.8').id, first.id, 'each network has its own')
  t.equal(identityOf({ authorization: 'x' }).tier, 'class')
})

t.test('the addresses of one network share their identities, and keep their own address', async (t) => {
  const by = identify()
  const a = identityOf(BROWSER, '2001:db8::1', by)
  const b = identityOf(BROWSER, '2001:db8::2', by)
  t.equal(a.id, b.id)
  t.equal(a.network.id, b.network.id)
  t.equal(a.network.address, '2001:db8::1')
  t.equal(b.network.address, '2001:db8::2')
  t.equal(identityOf(BROWSER, '2001:db8::1', by).network.address, '2001:db8::1')
  t.not(identityOf(BROWSER, '2001:db8:0:1::1', by).id, a.id)
})

t.test('the prefixes of the policy say what one network is', async (t) => {
  const by = identify({ network: { ipv4: 24, ipv6: 48, ipv6Parents: [] } })
  t.equal(identityOf(BROWSER, '198.51.100.7', by).id, identityOf(BROWSER, '198.51.100.8', by).id)
  t.equal(identityOf(BROWSER, '2001:db8:0:1::1', by).id, identityOf(BROWSER, '2001:db8:0:2::1', by).id)
  t.not(identityOf(BROWSER, '198.51.101.7', by).id, identityOf(BROWSER, '198.51.100.7', by).id)
})

t.test('no two requests share an identity by how their values run into each other', async (t) => {
  // One instance for both, so that its memory is put to the test as well; no secret, so that a clash shows.
  const by = identify({}, countingKeyring())
  const value = fc.string({ unit: fc.constantFrom('1', '2', ':', '|', ',', 'a', '0:', '1:a'), maxLength: 6 })
  const request = fc.record({ 'user-agent': value, authorization: value, 'x-api-key': value })
  const whole = (headers: object) => JSON.stringify(Object.values(headers))
  const ids = new Map<string, string>()
  fc.assert(
    fc.property(request, (headers) => {
      const { id } = identityOf(headers, '198.51.100.7', by)
      assert.equal(ids.get(id) ?? whole(headers), whole(headers))
      ids.set(id, whole(headers))
    }),
    { seed: 51, numRuns: 5000 },
  )
  t.not(
    identityOf({ 'user-agent': 'a|b', authorization: 'c' }, '198.51.100.7', by).id,
    identityOf({ 'user-agent': 'a', authorization: 'b|c' }, '198.51.100.7', by).id,
  )
  t.not(
    identityOf({ 'user-agent': '1:a', authorization: 'b' }, '198.51.100.7', by).id,
    identityOf({ 'user-agent': '1', authorization: 'a1:b' }, '198.51.100.7', by).id,
  )
  t.not(
    identityOf({ authorization: 'token' }, '198.51.100.7', by).id,
    identityOf({ 'x-api-key': 'token' }, '198.51.100.7', by).id,
    'a token and a key of the same text are two claims',
  )
})

t.test('a principal is no class, whatever its name', async (t) => {
  const principals = new Map([[createHash('sha256').update(KEY).digest('hex'), '']])
  const by = identify({ apiKeys: { ...POLICY.apiKeys!, principals } }, countingKeyring())
  t.equal(identityOf({}, '198.51.100.7', by).tier, 'overflow')
  t.equal(identityOf({ 'x-api-key': KEY }, '198.51.100.7', by).tier, 'principal')
  t.equal(identityOf({}, '198.51.100.7', by).tier, 'overflow')
})

t.test('a new first secret changes nobody', async (t) => {
  const rotated = identify({ secrets: ['a new secret', SECRET] })
  for (const headers of [BROWSER, {}, { 'x-api-key': KEY }]) {
    const before = identityOf(headers)
    const after = identityOf(headers, '198.51.100.7', rotated)
    t.same(after, before)
  }
})

t.test('a pseudonym shows nothing of what it is made from', async (t) => {
  const identity = identityOf({ ...BROWSER, authorization: 'Bearer canary' })
  const { address, ...network } = identity.network
  t.notMatch(JSON.stringify({ ...identity, network }), /canary|Mozilla|198\.51/)
  t.equal(address, '198.51.100.7')
})

t.test('a second sight costs no HMAC', async (t) => {
  const keyring = countingKeyring()
  const by = identify({}, keyring)
  for (const headers of [BROWSER, {}, { 'x-api-key': KEY }, { 'x-api-key': 'unlisted', authorization: 'x' }]) {
    identityOf(headers, '198.51.100.7', by)
    const asked = keyring.asked.length
    identityOf({ ...headers }, '198.51.100.7', by)
    t.equal(keyring.asked.length, asked, JSON.stringify(headers))
  }
  const asked = keyring.asked.length
  identityOf({ 'user-agent': 'new' }, '198.51.100.7', by)
  t.equal(keyring.asked.length, asked + 1)
})

t.test('100,000 large values and 100,000 addresses leave memory bounded', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const keyring = countingKeyring()
  const by = identify({}, { pseudonym: (purpose, parts) => keyring.pseudonym(purpose, [`${parts.length}`]) })
  const flat = (text: string) => Buffer.from(text).toString('latin1')
  const padding = 'x'.repeat(500)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < 100_000; n++) {
    const headers = { 'user-agent': flat(padding + n), 'x-api-key': flat(`${n}${padding}`) }
    const { classId, token } = by.evidence(by.network(parseAddress('198.51.100.7')!), headers, false, NOW)
    if (classId === '' || token === null) t.fail('no pseudonyms are made')
    by.network({ text: `198.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, family: 'ipv4' })
    keyring.asked.length = 0
  }
  collect()
  const grown = process.memoryUsage().heapUsed - before
  t.ok(identityOf({}, '198.51.100.7', by))
  t.ok(grown < 64 * 1024 * 1024, `grew by ${grown} bytes`)
})
