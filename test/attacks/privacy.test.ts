import { createHash, generateKeyPairSync } from 'node:crypto'
import { Redis } from 'ioredis'
import { SignJWT } from 'jose'
import t from 'tap'
import { startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get, post } from '../fixtures/raw-client.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/**
 * Whoever reads the store, the logs, the metrics or the admin port learns nothing of who was here: canaries stand in
 * everything that a client sends, through refusals and faults as well, and none of them is found there.
 */
t.test('nothing that a client sends of itself is found in Redis, logs, metrics or admin answers', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const upstream = await startUpstream(t)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const listed = 'canary-listed-key'
  // So slow that what is charged is still there at the end.
  const rate = { tokens: 1, seconds: 3600 }
  const { url, adminUrl, lines, idle, metric } = await startTestApp(t, {
    upstream: { url: upstream.url },
    store: {
      kind: 'redis',
      maxBuckets: 1000,
      servers: { kind: 'single', url: redis.url },
      tls: null,
      password: null,
      keyPrefix: 'sluice:',
      timeout: 2000,
      onError: 'local',
      expectedInstances: 1,
      lease: 'auto',
    },
    limits: [
      limitOf({ rate, burst: 2, newcomers: { rate, burst: 20 } }),
      limitOf({ rate, name: 'network', per: 'network', burst: 100 }),
      limitOf({ rate, name: 'customer', per: 'principal', burst: 20, onMissing: 'share' }),
    ],
    identity: {
      trustedProxies: ['127.0.0.1/32'],
      network: { ipv4: 32, ipv6: 64, ipv6Parents: [{ prefix: 48, factor: 4 }] },
      deviceCookie: { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' },
      jwt: [
        {
          issuer: 'canary-issuer',
          audiences: ['api'],
          keys: { set: [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }] },
          algorithms: ['ES256'],
          principal: ['iss', 'sub'],
          enrolment: 'controlled',
        },
      ],
      apiKeys: {
        header: 'x-api-key',
        principals: new Map([[createHash('sha256').update(listed).digest('hex'), 'acme']]),
        enrolment: 'controlled',
      },
      clientCertificate: { header: 'x-forwarded-client-cert', field: 'hash', enrolment: 'controlled' },
    },
    log: { level: 'trace' },
  })
  const token = await new SignJWT({ iss: 'canary-issuer', sub: 'canary-account', aud: 'api' })
    .setProtectedHeader({ alg: 'ES256', kid: '1' })
    .setExpirationTime('10m')
    .sign(privateKey)
  const common = ['User-Agent: canary-agent/1', 'Accept-Language: x-canary', 'X-Request-Id: 5']
  const senders = [
    ['X-Forwarded-For: 203.0.113.77'],
    ['X-Forwarded-For: 2001:db8:ca1a:1::77'],
    ['X-Forwarded-For: 203.0.113.77', 'Authorization: Bearer canary-bearer'],
    ['X-Forwarded-For: 203.0.113.77', `Authorization: Bearer ${token}`],
    ['X-Forwarded-For: 203.0.113.77', `Authorization: Bearer ${token}x`],
    ['X-Forwarded-For: 203.0.113.77', 'X-Api-Key: canary-unlisted-key'],
    ['X-Forwarded-For: 203.0.113.77', `X-Api-Key: ${listed}`],
    ['X-Forwarded-For: 203.0.113.77', 'X-Forwarded-Client-Cert: Hash=canary-certificate'],
    ['X-Forwarded-For: 203.0.113.77', 'Cookie: session=canary-cookie', 'Device-Token: canary-device'],
  ]
  const marks: string[] = []
  const statuses = new Set<number>()
  for (const sender of senders) {
    for (let n = 0; n < 4; n++) {
      const answer = await ask(t, url, get(`/canary-path-${n}`, ...common, ...sender))
      statuses.add(answer.status)
      const cookie = answer.all('set-cookie').at(-1)
      if (cookie !== undefined) marks.push(/=([^;]+)/.exec(cookie)![1]!)
    }
  }
  const [mark] = marks
  for (let n = 0; n < 4; n++) await ask(t, url, get('/', ...common, `Device-Token: ${mark}`))
  await ask(t, url, post('/canary-path', 'canary-body', ...common, 'Cookie: a=canary', 'X-Forwarded-For: canary'))
  await ask(t, url, get('/\\canary-bad', ...common))
  await upstream.close()
  await ask(t, url, get('/canary-down', ...common, `Authorization: Bearer ${token}`, 'X-Forwarded-For: 203.0.113.78'))
  await idle()

  t.same([...statuses].sort(), [200, 429], 'both were seen')
  t.ok(marks.length > 10)
  t.ok((await metric('sluice_identities_total', { tier: 'principal' })) > 0)
  t.ok((await metric('sluice_requests_total', { outcome: 'error' })) > 0)

  const client = new Redis(redis.url)
  const keys = await client.keysBuffer('*')
  t.ok(keys.length > 10, 'and Redis was used')
  const values = await Promise.all(keys.map(async (key) => (await client.dumpBuffer(key)).toString('latin1')))
  client.disconnect()
  const admin = []
  for (const path of ['/metrics', '/', '/livez', '/readyz'])
    admin.push(await (await fetch(`${adminUrl}${path}`)).text())

  const places = {
    keys: keys.map((key) => key.toString('latin1')).join('\n'),
    values: values.join('\n'),
    logs: lines.join('\n'),
    admin: admin.join('\n'),
  }
  const canaries = [
    'canary',
    '203.0.113.7',
    '2001:db8',
    'ca1a',
    ...token.split('.'),
    ...marks,
    ...marks.map((text) => Buffer.from(text, 'base64url').toString('base64url', 9, 21)),
  ]
  t.ok(places.logs.includes('"msg":"refused"'))
  for (const [place, text] of Object.entries(places)) {
    for (const canary of canaries) t.notOk(text.includes(canary), `${canary} in ${place}`)
  }
})
