import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { type JWTPayload, SignJWT } from 'jose'
import t from 'tap'
import { compileJwt, type TokenProblem } from '../../src/identity/jwt.ts'
import { createKeyring } from '../../src/identity/keyring.ts'
import type { JwtAlgorithm, JwtPolicy } from '../../src/policy/types.ts'

const NOW = Date.UTC(2026, 10, 22)
const SECONDS = NOW / 1000

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
const curves = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  EdDSA: generateKeyPairSync('ed25519'),
}
const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid })
const SET = [jwk(rsa.publicKey, 'rsa'), ...Object.entries(curves).map(([kid, { publicKey }]) => jwk(publicKey, kid))]

const POLICY: JwtPolicy = {
  issuer: 'https://idp.example',
  audiences: ['api', 'web'],
  keys: { set: SET },
  algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
  principal: ['iss', 'sub'],
  enrolment: 'controlled',
}

const CLAIMS: JWTPayload = { iss: POLICY.issuer, aud: 'api', sub: 'alice', exp: SECONDS + 600 }

function compile(policies: readonly JwtPolicy[] = [POLICY]) {
  const problems: TokenProblem[] = []
  const keyring = createKeyring(['a secret of at least thirty-two bytes'])
  const verify = compileJwt(policies, { keyring, jwks: null, onProblem: (problem) => problems.push(problem) })
  return { problems, verify: (token: string, wallMs = NOW) => verify(token, wallMs) }
}

function sign(claims: JWTPayload, alg: JwtAlgorithm = 'RS256', header: object = {}, key?: KeyObject): Promise<string> {
  const own = alg in curves ? curves[alg as keyof typeof curves].privateKey : rsa.privateKey
  const kid = alg in curves ? alg : 'rsa'
  return new SignJWT(claims).setProtectedHeader({ alg, kid, ...header }).sign(key ?? own)
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

for (const alg of POLICY.algorithms) {
  t.test(`a token signed by ${alg} proves its principal, and one that differs in a bit does not`, async (t) => {
    const { verify, problems } = compile()
    const token = await sign(CLAIMS, alg)
    t.match(verify(token), { principal: { source: 'jwt', enrolment: 'controlled', id: /^[\w-]{22}$/ }, claims: CLAIMS })
    const [header, claims, signature] = token.split('.')
    const bytes = Buffer.from(signature!, 'base64url')
    bytes[bytes.length >> 1]! ^= 1
    t.equal(verify(`${header}.${claims}.${bytes.toString('base64url')}`), null)
    t.equal(verify(`${header}.${part({ ...CLAIMS, sub: 'root' })}.${signature}`), null)
    t.same(problems, ['signature', 'signature'])
  })
}

t.test('one account is one principal, whatever else its tokens say', async (t) => {
  const { verify } = compile()
  const first = verify(await sign(CLAIMS))!.principal
  t.same(verify(await sign({ ...CLAIMS, exp: SECONDS + 900, jti: 'x', plan: 'gold' }, 'ES256'))!.principal, first)
  t.not(verify(await sign({ ...CLAIMS, sub: 'bob' }))!.principal.id, first.id)
  t.equal(first.tag, first.id.slice(0, 8))
})

t.test('the claims of the policy name the principal, and run not into each other', async (t) => {
  const { verify, problems } = compile([{ ...POLICY, principal: ['tenant', 'user'] }])
  const id = async (claims: JWTPayload) => verify(await sign({ ...CLAIMS, ...claims }))?.principal.id
  const ids = [
    await id({ tenant: 'a', user: 'b' }),
    await id({ tenant: 'ab', user: '0' }),
    await id({ tenant: 'a', user: 'b0' }),
    await id({ tenant: 'a', user: 1 }),
    await id({ tenant: 'a', user: '1' }),
  ]
  t.equal(new Set(ids).size, 5)
  t.same(problems, [])
  for (const user of [undefined, '', null, true, ['b'], { b: 1 }]) t.equal(await id({ tenant: 'a', user }), undefined)
  t.same(problems, Array(6).fill('claims'))
})

t.test('a token that does not hold is a claim, counted by what is wrong', async (t) => {
  const cases: readonly (readonly [TokenProblem, Promise<string> | string])[] = [
    ['issuer', sign({ ...CLAIMS, iss: 'https://other.example' })],
    ['issuer', sign({ aud: 'api', sub: 'alice', exp: SECONDS + 600 })],
    ['audience', sign({ ...CLAIMS, aud: 'other' })],
    ['audience', sign({ ...CLAIMS, aud: [] })],
    ['expired', sign({ ...CLAIMS, exp: SECONDS - 60 })],
    ['early', sign({ ...CLAIMS, nbf: SECONDS + 61 })],
    ['claims', sign({ iss: POLICY.issuer, aud: 'api', sub: 'alice' })],
    ['key', sign(CLAIMS, 'RS256', { kid: '../../../../dev/null' })],
    ['key', sign(CLAIMS, 'RS256', { kid: 'ES256' })],
    ['key', sign(CLAIMS, 'RS256', { kid: '__proto__' })],
    ['signature', sign(CLAIMS, 'RS256', {}, stranger.privateKey)],
    ['algorithm', `${part({ alg: 'none' })}.${part(CLAIMS)}.`],
    ['algorithm', `${part({ alg: 'None', kid: 'rsa' })}.${part(CLAIMS)}.AAAA`],
    ['algorithm', `${part({ kid: 'rsa' })}.${part(CLAIMS)}.AAAA`],
    ['malformed', 'a.b.c'],
    ['malformed', '..'],
    ['malformed', `${part([])}.${part(CLAIMS)}.AAAA`],
    ['malformed', `${part({ alg: 'RS256' })}.${part('text')}.AAAA`],
    ['malformed', `${part({ alg: 'RS256', crit: ['x'], x: 1 })}.${part(CLAIMS)}.AAAA`],
    ['long', 'a'.repeat(8193)],
    ['long', 'a.'.repeat(500_000)],
  ]
  for (const [problem, token] of cases) {
    const { verify, problems } = compile()
    for (let sight = 0; sight < 2; sight++) t.equal(verify(await token), null)
    t.same(problems, [problem, problem])
  }
})

t.test('a public key is no shared secret', async (t) => {
  const { verify, problems } = compile()
  for (const secret of [
    rsa.publicKey.export({ type: 'spki', format: 'pem' }),
    rsa.publicKey.export({ type: 'spki', format: 'der' }),
  ]) {
    for (const alg of ['HS256', 'RS256']) {
      const text = `${part({ alg, kid: 'rsa' })}.${part(CLAIMS)}`
      t.equal(verify(`${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`), null)
    }
  }
  t.same(problems, ['algorithm', 'signature', 'algorithm', 'signature'])
})

t.test('an algorithm that the policy does not name is refused, however well it is signed', async (t) => {
  const { verify, problems } = compile([{ ...POLICY, algorithms: ['ES256'] }])
  t.equal(verify(await sign(CLAIMS, 'RS256')), null)
  t.ok(verify(await sign(CLAIMS, 'ES256')))
  t.same(problems, ['algorithm'])
})

t.test('clocks may be a minute apart, and what was verified ends with the token', async (t) => {
  const { verify, problems } = compile()
  const token = await sign({ ...CLAIMS, exp: SECONDS + 600, nbf: SECONDS })
  t.equal(verify(token, NOW - 60_001), null)
  t.ok(verify(token, NOW - 60_000))
  t.ok(verify(token, NOW + 659_999))
  t.equal(verify(token, NOW + 660_000), null)
  t.same(problems, ['early', 'expired'])
})

t.test('a token in another spelling of its signature is another text', async (t) => {
  const { verify } = compile()
  const token = await sign(CLAIMS, 'ES256')
  for (const wrong of [`${token}=`, `${token}==`, `${token}!`, token.replace(/.$/, (last) => `${last}\n`)]) {
    t.equal(verify(wrong), null, JSON.stringify(wrong.slice(-3)))
  }
})

t.test('without a kid the key is the only one that fits', async (t) => {
  const header = { kid: undefined }
  const { verify } = compile()
  t.ok(verify(await sign(CLAIMS, 'RS256', header)))
  const two = compile([{ ...POLICY, keys: { set: [...SET, jwk(stranger.publicKey, 'other')] } }])
  t.equal(two.verify(await sign(CLAIMS, 'RS256', header)), null)
  t.same(two.problems, ['key'])
})

t.test('a key is of no use for what it is not meant for, or when it is too short', async (t) => {
  const short = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const [key] = SET
  for (const set of [
    [{ ...key, use: 'enc' }],
    [{ ...key, key_ops: ['encrypt'] }],
    [{ ...key, alg: 'RS512' }],
    [{ ...key, n: 'AQAB' }],
    [{ kty: 'RSA', kid: 'rsa' }],
    [{ kty: 'oct', kid: 'rsa', k: 'AAAA' }],
    [],
  ]) {
    const { verify, problems } = compile([{ ...POLICY, keys: { set } }])
    t.equal(verify(await sign(CLAIMS)), null)
    t.same(problems, ['key'])
  }
  const { verify, problems } = compile([{ ...POLICY, keys: { set: [jwk(short.publicKey, 'rsa')] } }])
  const text = `${part({ alg: 'RS256', kid: 'rsa' })}.${part(CLAIMS)}`
  t.equal(verify(`${text}.AAAA`), null)
  t.same(problems, ['key'])
})

t.test('of several issuers each has its keys, and its audiences', async (t) => {
  const other: JwtPolicy = { ...POLICY, audiences: ['other'], enrolment: 'open', algorithms: ['ES256'] }
  const third: JwtPolicy = { ...POLICY, issuer: 'third', keys: { set: [jwk(stranger.publicKey, 'rsa')] } }
  const { verify, problems } = compile([POLICY, other, third])
  t.equal(verify(await sign(CLAIMS, 'ES256'))!.principal.enrolment, 'controlled')
  t.equal(verify(await sign({ ...CLAIMS, aud: ['x', 'other'] }, 'ES256'))!.principal.enrolment, 'open')
  t.equal(verify(await sign({ ...CLAIMS, iss: 'third' })), null)
  t.ok(verify(await sign({ ...CLAIMS, iss: 'third' }, 'RS256', {}, stranger.privateKey)))
  t.same(problems, ['signature'])
})

t.test('text that is no JWT is not even a bad one, and none makes it throw', async (t) => {
  const { verify, problems } = compile()
  for (const text of ['', 'opaque', 'a.b', 'a.b.c.d', '....', 'x'.repeat(8192)]) t.equal(verify(text), null)
  t.same(problems, [])
  const piece = fc.oneof(
    fc.string(),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
    fc.base64String(),
  )
  fc.assert(
    fc.property(piece, piece, piece, (a, b, c) => assert.equal(verify(`${a}.${b}.${c}`), null)),
    { seed: 3, numRuns: 500 },
  )
})
