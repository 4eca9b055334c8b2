import { createHmac, generateKeyPairSync } from 'node:crypto'
import { SignJWT } from 'jose'
import t, { type Test } from 'tap'
import type { JwtPolicy } from '../../src/policy/types.ts'
import { manualClock, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/**
 * The attack: tokens, keys and cookies that look like proof. What is held: none is an error to its bearer, all of them
 * together pass what their network's newcomers do, and what was sent is what the upstream sees.
 */

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = publicKey.export({ type: 'spki', format: 'pem' })
const CLAIMS = { iss: 'https://idp.example', aud: 'api', sub: 'alice' }
const EXPIRES = Math.floor(Date.now() / 1000) + 600
const IDP: JwtPolicy = {
  issuer: CLAIMS.iss,
  audiences: [CLAIMS.aud],
  keys: { set: [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }] },
  algorithms: ['RS256'],
  principal: ['iss', 'sub'],
  enrolment: 'controlled',
}
/** An hour for a token: what passes at all passes at once. */
const LIMIT = limitOf({
  rate: { tokens: 1, seconds: 3600 },
  burst: 3,
  newcomers: { rate: { tokens: 5, seconds: 3600 }, burst: 6 },
})
const COOKIE = { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' } as const

async function start(t: Test, identity: PolicyChanges['identity'] = {}) {
  const upstream = await startUpstream(t)
  const changes: PolicyChanges = {
    limits: [LIMIT],
    upstream: { url: upstream.url },
    server: { maxHeaderBytes: 1024 * 1024 },
    identity: { jwt: [IDP], deviceCookie: COOKIE, ...identity },
  }
  // It stands still: a token that is seen again a second later is one that stays, and may become a member.
  const test = await startTestApp(t, changes, { clock: manualClock() })
  return { upstream, ...test }
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const whole = { ...CLAIMS, exp: EXPIRES }
const hs256 = (text: string, key: string) => `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
const rs256 = (claims: object, header: object = {}) =>
  new SignJWT({ ...whole, ...claims }).setProtectedHeader({ alg: 'RS256', kid: '1', ...header }).sign(privateKey)

t.test('no bad token is an error, none of them proves, and each goes on as it came', async (t) => {
  const bad: Record<string, string> = {
    'alg none': `${part({ alg: 'none' })}.${part(whole)}.`,
    'public key as secret': hs256(`${part({ alg: 'HS256', kid: '1' })}.${part(whole)}`, String(pem)),
    'kid traversal': await rs256({}, { kid: '../../../../../dev/null' }),
    'kid as a statement': await rs256({}, { kid: "1' OR '1'='1" }),
    'jku of the attacker': hs256(`${part({ alg: 'HS256', jku: 'http://127.0.0.1:1/keys' })}.${part(whole)}`, ''),
    'a key within': hs256(`${part({ alg: 'HS256', jwk: { kty: 'oct', k: '' } })}.${part(whole)}`, ''),
    expired: await rs256({ exp: EXPIRES - 7200 }),
    'of another audience': await rs256({ aud: 'other' }),
    'of another issuer': await rs256({ iss: 'https://evil.example' }),
    'half a megabyte': `${part({ alg: 'RS256' })}.${'A'.repeat(512 * 1024)}.AAAA`,
    'a million dots': '.'.repeat(500_000),
    'no text at all': `${'%00'.repeat(10)}.\u00ff.\u00ff`,
  }
  const { url, upstream, metric, logged, idle } = await start(t)
  for (const [name, token] of Object.entries(bad).slice(0, 6)) {
    t.equal((await ask(t, url, get('/', `Authorization: Bearer ${token}`))).status, 200, name)
    t.equal(upstream.seen.at(-1)!.one('authorization'), `Bearer ${token}`, name)
  }
  for (const [name, token] of Object.entries(bad)) {
    t.equal((await ask(t, url, get('/', `Authorization: Bearer ${token}`))).status, 429, `${name}: newcomers are spent`)
  }
  t.equal((await ask(t, url, get('/', `Authorization: Bearer ${await rs256({})}`))).status, 200, 'proof stands alone')
  await idle()
  t.equal(await metric('sluice_bad_tokens_total'), 6 + Object.keys(bad).length)
  t.equal(await metric('sluice_identities_total', { tier: 'principal' }), 1)
  t.equal(logged().filter(({ level }) => Number(level) >= 40).length, 0, 'and nobody is woken up')
})

t.test('a rotating bearer, key, cookie and certificate pass what the newcomers pass', async (t) => {
  const { url, upstream } = await start(t, {
    apiKeys: { header: 'x-api-key', principals: new Map(), enrolment: 'controlled' },
    clientCertificate: { header: 'x-cert', field: null, enrolment: 'controlled' },
  })
  let passed = 0
  for (let n = 0; n < 40; n++) {
    const fields = [
      `Authorization: Bearer ${n}.${n}.${n}`,
      `X-Api-Key: ${n}`,
      `X-Cert: ${n}`,
      `Cookie: sluice-000000=${n}; a=${n}`,
      `Device-Token: ${n}`,
      `X-Forwarded-Proto: https`,
    ]
    if ((await ask(t, url, get('/', ...fields))).status === 200) passed++
  }
  t.equal(passed, 6)
  for (const request of upstream.seen) t.equal(request.one('x-cert'), undefined)
})

t.test('a certificate is believed from a trusted peer, and the rightmost element alone', async (t) => {
  const { url, upstream, metric, idle } = await start(t, {
    trustedProxies: ['127.0.0.1/32'],
    clientCertificate: { header: 'x-forwarded-client-cert', field: 'hash', enrolment: 'controlled' },
  })
  for (let n = 0; n < 8; n++) {
    const { status } = await ask(t, url, get('/', `X-Forwarded-Client-Cert: Hash=forged-${n},By=x;Hash=one`))
    t.equal(status, n < 3 ? 200 : 429, 'whatever stands left of it is one client')
  }
  t.equal((await ask(t, url, get('/', 'X-Forwarded-Client-Cert: Hash=two'))).status, 200)
  t.equal(upstream.seen.at(-1)!.one('x-forwarded-client-cert'), 'Hash=two')
  await idle()
  t.equal(await metric('sluice_identities_total', { tier: 'principal' }), 9)
})

t.test('accounts that anyone can have share the pool of their network, as fresh members do', async (t) => {
  const { url } = await start(t, { jwt: [{ ...IDP, enrolment: 'open' }] })
  let passed = 0
  for (let n = 0; n < 20; n++) {
    const token = await rs256({ sub: `bot-${n}` })
    if ((await ask(t, url, get('/', `Authorization: Bearer ${token}`))).status === 200) passed++
  }
  // 3B + 0.05BW, a quarter of what lies above B being for the aged.
  const pool = 3 * LIMIT.burst + 0.05 * LIMIT.burst * 20 * 0.5
  t.ok(passed <= pool - (pool - LIMIT.burst) / 4 && passed > LIMIT.burst, `${passed} passed of ${pool}`)
})
