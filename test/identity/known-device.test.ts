import crypto, { createHash, generateKeyPairSync } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { SignJWT } from 'jose'
import t from 'tap'
import { homeOf } from '../../src/identity/device-cookie.ts'
import { createMembership } from '../../src/identity/membership.ts'
import { createLimiter } from '../../src/limiter/limiter.ts'
import { compileRules } from '../../src/proxy/rules.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { manualClock, policyWith } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { factsOf } from '../proxy/facts-of.ts'

/** What a known device costs: every step from the address to the decision, with node's own crypto counted. */

const NOW = Date.UTC(2026, 10, 25)
const COOKIE = { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' } as const
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ample = { rate: { tokens: 1_000_000, seconds: 1 }, burst: 1_000_000 }

function start() {
  const clock = manualClock()
  const policy = policyWith({
    limits: [
      limitOf({ ...ample, newcomers: ample }),
      limitOf({
        ...ample,
        name: 'tenant',
        per: [{ kind: 'device' }, { kind: 'header', name: 'x-tenant' }],
        onMissing: 'share',
      }),
    ],
    identity: {
      deviceCookie: COOKIE,
      trustedProxies: ['127.0.0.0/8'],
      apiKeys: {
        header: 'x-api-key',
        principals: new Map([[createHash('sha256').update('key').digest('hex'), 'acme']]),
        enrolment: 'controlled',
      },
      jwt: [
        {
          issuer: 'https://idp.example',
          audiences: ['api'],
          keys: { set: [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }] },
          algorithms: ['RS256'],
          principal: ['sub'],
          enrolment: 'controlled',
        },
      ],
    },
  })
  const rules = compileRules(policy, { wallMs: () => NOW })
  const membership = createMembership({ policy: policy.identity.admission })
  const local = createMemoryStore({ maxBuckets: 1_000_000, clock })
  const limiter = createLimiter({ local, shared: null })

  function ask(fields: readonly string[]) {
    const facts = factsOf({ fields: ['X-Forwarded-For', '198.51.100.7', ...fields] })
    const client = rules.clientAddress('127.0.0.1', facts.headers)
    const ruling = rules.rule(facts, client.address)
    if (ruling.kind !== 'limit') throw new Error('not limited')
    const network = rules.identify.network(client.address)
    const evidence = rules.identify.evidence(network, facts.headers, client.isPeerTrusted, NOW)
    const { isPeerTrusted } = client
    const keys = rules.limitKeys(ruling.plans, { facts, isPeerTrusted, network, verified: evidence.verified })
    if (keys === null || 'status' in keys) throw new Error('no keys')
    const identity = membership.stand(evidence, clock.nowUs(), NOW)
    const decision = limiter.decide(identity, ruling.plans, 'enforce', clock.nowUs(), keys)
    if (decision instanceof Promise || decision.verdict !== 'allowed') throw new Error('not allowed at once')
    clock.advance(1)
    return identity.tier
  }

  const { deviceCookie } = rules.identify
  const home = homeOf(rules.identify.network({ text: '198.51.100.7', family: 'ipv4' }))
  const cookie = (device: string) => {
    const mark = { device, home, grade: 0, issuedMs: NOW - 3_600_000, signedMs: NOW }
    return `${deviceCookie!.name(false)}=${deviceCookie!.marks.sign(mark)}`
  }
  return { ask, cookie }
}

/** Counts the calls of node's HMAC, hash and signature functions while `run` does its work. */
function counting(run: () => void): number {
  let calls = 0
  const real = { createHmac: crypto.createHmac, createHash: crypto.createHash, verify: crypto.verify }
  for (const name of ['createHmac', 'createHash', 'verify'] as const) {
    crypto[name] = ((...args: never[]) => {
      calls++
      return (real[name] as (...args: never[]) => unknown)(...args)
    }) as never
  }
  syncBuiltinESMExports()
  try {
    run()
  } finally {
    Object.assign(crypto, real)
    syncBuiltinESMExports()
  }
  return calls
}

t.test('a known device costs no HMAC, no hash and no signature, however it is known', async (t) => {
  const { ask, cookie } = start()
  const token = await new SignJWT({ iss: 'https://idp.example', aud: 'api', sub: 'alice' })
    .setProtectedHeader({ alg: 'RS256', kid: '1' })
    .setExpirationTime(new Date(NOW + 3_600_000))
    .sign(privateKey)
  const devices: Readonly<Record<string, readonly [fields: string[], tier: string]>> = {
    cookie: [['User-Agent', 'a', 'Cookie', `x=1; ${cookie('AAAAAAAAAAAAAAAA')}`, 'X-Tenant', 'a'], 'member'],
    jwt: [['Authorization', `Bearer ${token}`, 'X-Tenant', 'b'], 'principal'],
    'API key': [['X-Api-Key', 'key'], 'principal'],
    'unverified token': [['Authorization', 'Bearer opaque'], 'token'],
    class: [['User-Agent', 'a', 'Accept-Language', 'de,en;q=0.5'], 'class'],
  }
  for (const [name, [fields]] of Object.entries(devices)) {
    t.ok(counting(() => ask(fields)) > 0, `${name}: the first time costs some`)
    // A token is a stable one a second after its first sight.
    for (let i = 0; i < 1100; i++) ask(fields)
  }
  for (const [name, [fields, tier]] of Object.entries(devices)) {
    t.equal(ask(fields), tier, name)
    t.equal(
      counting(() => {
        for (let i = 0; i < 1000; i++) ask(fields)
      }),
      0,
      name,
    )
  }
})

t.test('so it is told several times faster than one that comes first', async (t) => {
  const { ask, cookie } = start()
  const fieldsOf = (i: number) => [
    'User-Agent',
    'a',
    'Cookie',
    cookie(Buffer.from(String(100_000_000_000 + i)).toString('base64url')),
  ]
  const fields = Array.from({ length: 2000 }, (_, i) => fieldsOf(i))
  const cpuUsOf = (run: () => void) => {
    const before = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  const known = fields.slice(0, 100)
  for (let i = 0; i < 100; i++) for (const one of known) ask(one)
  const first =
    cpuUsOf(() => {
      for (const one of fields.slice(100)) ask(one)
    }) / 1900
  const again =
    cpuUsOf(() => {
      for (let i = 0; i < 100; i++) for (const one of known) ask(one)
    }) / 10_000
  t.comment(`first ${first.toFixed(1)} us, known ${again.toFixed(1)} us of CPU, reading the request included`)
  t.ok(again < first / 1.5, `first ${first} us, known ${again} us`)
})
