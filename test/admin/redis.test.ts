import t, { type Test } from 'tap'
import type { KeyState } from '../../src/admin/backstage.ts'
import type { Stats } from '../../src/admin/stats.ts'
import { startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/** Keys whose buckets lie in a real redis-server. */

const TOKEN = 'the-admin-token'
const HEADERS = { 'user-agent': 'tester', 'accept-language': 'en' }

t.test('a key shows the buckets that instances share, and a reset fills them for all', async (t) => {
  const { one, other, ask, lookUp, reset } = await open(t)
  for (let n = 0; n < 6; n++) await ask(one)
  t.equal(await ask(one), 429)
  const { key, kind, buckets } = await lookUp(other)
  t.equal(kind, 'class')
  t.match(buckets, [{ limit: 'device', bucket: 'own', remaining: 0, burst: 5 }], 'seen from the other instance too')
  t.equal((await reset(one, key)).status, 200)
  t.match((await lookUp(other)).buckets, [{ debt: 0, remaining: 5 }])
  t.equal(await ask(one), 200, 'what was known and leased here is forgotten')
  t.equal(await ask(other), 200)
})

t.test('while the store is away its buckets are unknown, a reset is refused, and the page is told', async (t) => {
  const { one, redis, ask, lookUp, reset } = await open(t)
  await ask(one)
  const { key } = await lookUp(one)
  await redis.stop()
  for (let n = 0; n < 8; n++) await ask(one)
  t.equal((await lookUp(one)).buckets, null)
  const refused = await reset(one, key)
  t.equal(refused.status, 503)
  t.match(await refused.text(), 'The shared store is away')
  const stats = (await (await fetch(`${one.adminUrl}/api/stats`)).json()) as Stats
  t.match(stats.store, { kind: 'redis', up: false, breaker: 'open' })
  t.ok(stats.store.fallbacks > 0)
  t.same(await (await fetch(`${one.adminUrl}/api/audit`)).json(), [], 'nothing was done')
})

async function open(t: Test) {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const upstream = await startUpstream(t)
  const changes = {
    adminToken: TOKEN,
    limits: [limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 5 })],
    upstream: { url: upstream.url },
    identity: { secrets: ['a secret that both instances share, of 32 bytes or more'] as const, secretIsRandom: false },
    store: {
      kind: 'redis',
      maxBuckets: 1000,
      servers: { kind: 'single', url: redis.url },
      password: null,
      tls: null,
      keyPrefix: 'sluice:',
      timeout: 500,
      onError: 'local',
      expectedInstances: 2,
      lease: 'auto',
    },
  } as const
  const one = await startTestApp(t, changes)
  const other = await startTestApp(t, changes)
  const post = (adminUrl: string, path: string, body: unknown) =>
    fetch(`${adminUrl}/api/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  type At = { readonly url: string; readonly adminUrl: string }
  return {
    ...{ redis, one, other },
    async ask({ url }: At) {
      const response = await fetch(url, { headers: HEADERS })
      await response.arrayBuffer()
      return response.status
    },
    async lookUp({ adminUrl }: At) {
      const shown = { address: '127.0.0.1', user_agent: 'tester', accept_language: 'en' }
      const [found] = (await (await post(adminUrl, 'lookup', shown)).json()) as KeyState[]
      return found!
    },
    reset: ({ adminUrl }: At, key: string) => post(adminUrl, 'reset', { key, reason: 'helpdesk' }),
  }
}
