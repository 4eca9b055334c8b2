import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { startTestApp, type TestApp } from './fixtures/app.ts'
import { ask, get, post } from './fixtures/raw-client.ts'
import { startRedis } from './fixtures/redis-server.ts'
import { ok, startUpstream } from './fixtures/upstream.ts'
import { policyOf, SECRET } from './policy/read-fixture.ts'

/** Each recipe of docs/15 and each file of config/examples, run as it is written, does what its own text says. */

const PAGE = readFileSync('docs/15-recipes.md', 'utf8')
const RECIPES = new Map(
  [...PAGE.matchAll(/^## (.*)\n+```yaml\n([\s\S]*?)```/gm)].map(([, title, text]) => [title!, text!]),
)
const EXAMPLES = new Map(
  readdirSync('config/examples')
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => [name, readFileSync(`config/examples/${name}`, 'utf8')]),
)

type Run = {
  /** The whole proxy under the policy, before an upstream that answers everything with 200. */
  start(replaced?: Readonly<Record<string, string>>, files?: Readonly<Record<string, string>>): Promise<TestApp>
  readonly text: string
}

const KEYS = readFileSync('config/examples/api-keys.txt', 'utf8')
const KEY_FILES = { 'api-keys.txt': KEYS, '../config/examples/api-keys.txt': KEYS }
const KEY = 'X-Api-Key: acme-example-key'

/** How many of so many equal requests pass. */
async function passed({ url }: TestApp, count: number, request: string): Promise<number> {
  const statuses = await Promise.all(Array.from({ length: count }, () => ask(t, url, request)))
  return statuses.filter(({ status }) => status === 200).length
}

/** A burst, and what its bucket may gain while a loaded machine sends the requests. */
function isBurst(t: Test, count: number, burst: number): void {
  t.ok(count >= burst && count < burst + 20, `${count} passed, of a burst of ${burst}`)
}

const CASES: Readonly<Record<string, (t: Test, run: Run) => Promise<void>>> = {
  async 'Behind a load balancer, an ingress or a CDN'(t, { start }) {
    const app = await start({ '10.0.0.0/8': 'loopback' })
    const from = (...hops: string[]) => get('/', `X-Forwarded-For: ${hops.join(', ')}`)
    isBurst(t, await passed(app, 140, from('198.51.100.9', '203.0.113.1')), 120)
    t.ok((await passed(app, 100, from('203.0.113.1'))) < 20, 'the address left of the client is not read')
    t.equal(await passed(app, 5, from('203.0.113.2')), 5)
  },

  async 'A CDN, a balancer, Sluice'(t, { start }) {
    const app = await start({ private: 'loopback' })
    const from = (...hops: string[]) => get('/', `X-Forwarded-For: ${hops.join(', ')}`)
    isBurst(t, await passed(app, 140, from('203.0.113.1', '173.245.48.10')), 120)
    t.ok((await passed(app, 100, from('198.51.100.9', '203.0.113.1', '173.245.48.10'))) < 20)
    t.equal(await passed(app, 5, from('203.0.113.2', '173.245.48.10')), 5)
  },

  async 'Shadow first'(t, { start }) {
    const app = await start()
    t.equal(await passed(app, 130, get()), 130)
    t.ok((await app.metric('sluice_limit_decisions_total', { outcome: 'would_limit' })) >= 8)
  },

  async 'A login'(t, { start }) {
    const app = await start()
    let allowed = 0
    for (let i = 0; i < 15; i++) allowed += await passed(app, 1, post('/login', '', `User-Agent: device ${i}`))
    t.equal(allowed, 10, 'ten a minute for the network, whatever device')
    t.equal(await passed(app, 5, get('/login')), 5)
  },

  async 'API keys'(t, { start }) {
    const app = await start({}, KEY_FILES)
    t.equal(await passed(app, 100, get('/', KEY)), 100)
    t.equal(await passed(app, 61, get('/', 'X-Api-Key: not listed')), 60)
    t.equal(await passed(app, 100, get('/', KEY)), 100)
  },

  async 'Plans and tenants from a token'(t, { start }) {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k' }] })
    const app = await start({ 'jwks_url: https://idp.example/jwks': 'jwks_file: keys.json' }, { 'keys.json': jwks })
    const token = (sub: string) =>
      new SignJWT({ tenant: 'acme' })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer('https://idp.example')
        .setAudience('api')
        .setSubject(sub)
        .setExpirationTime('1h')
        .sign(privateKey)
    t.equal((await ask(t, app.url, get('/reports/1'))).status, 403)
    const report = async (sub: string) =>
      passed(app, 20, get('/reports/1', `Authorization: Bearer ${await token(sub)}`))
    t.equal((await report('a')) + (await report('b')), 30, 'the users of a tenant share a bucket')
  },

  async 'Dear and cheap requests'(t, { start }) {
    const app = await start()
    isBurst(t, await passed(app, 20, get('/search/a')), 12)
    t.equal(await passed(app, 5, get('/export/a')), 2)
    t.equal(await passed(app, 20, get('/')), 20)
  },

  async 'Several instances'(t, { start }) {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const replaced = { 'redis://redis:6379': redis.url }
    const [one, two] = [await start(replaced), await start(replaced)]
    const both = (await passed(one, 100, get())) + (await passed(two, 100, get()))
    t.ok(both >= 100 && both < 150, `${both} passed, of one burst of 120 that both share`)
  },

  async 'An office, a school, a carrier'(t, { start, text }) {
    const trusted = text.replace('identity:\n', 'identity:\n  trusted_proxies: [loopback]\n')
    const app = await start({ [text]: trusted })
    const office = 'X-Forwarded-For: 203.0.113.7'
    t.equal(await passed(app, 5, get('/', office)), 5)
    t.match(app.policy.identity.networks, [{ maxDevices: 2000 }])
  },

  async 'Event streams and WebSockets'(t, { start }) {
    const app = await start()
    t.equal(await passed(app, 15, get('/ws')), 10)
    t.equal(app.policy.upstream.idleTimeout, 600_000)
  },

  async 'Long polls'(t, { start }) {
    const short = await start({ 'response_timeout: 2m': 'response_timeout: 200ms' })
    t.equal((await ask(t, short.url, get('/slow'))).status, 504)
    const long = await start()
    t.equal((await ask(t, long.url, get('/slow'))).status, 200)
  },

  async 'api-keys.yaml'(t, { start }) {
    const app = await start({}, KEY_FILES)
    t.equal(await passed(app, 100, get('/v1/a', KEY)), 100)
    t.equal(await passed(app, 61, get('/v1/a')), 60)
    t.equal((await ask(t, app.url, post('/v1/a', '', 'User-Agent: another'))).status, 403)
    t.equal((await ask(t, app.url, post('/v1/a', '', KEY))).status, 200)
  },

  async 'login.yaml'(t, { start }) {
    const app = await start()
    t.equal(await passed(app, 10, post('/login', '')), 5)
    t.equal(await passed(app, 40, get('/search/a')), 40, 'search refuses nothing in shadow')
    t.equal(await passed(app, 200, get('/health')), 200)
    isBurst(t, await passed(app, 200, get('/')), 100 - 5 - 40)
  },

  async 'redis.yaml'(t, { start }) {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const replaced = { REDIS_URL: redis.url }
    const [one, two] = [await start(replaced), await start(replaced)]
    t.equal((await passed(one, 5, get('/export/a'))) + (await passed(two, 5, get('/export/a'))), 2)
  },
}

t.test('every recipe and every example has a case', async (t) => {
  t.same([...RECIPES.keys(), ...EXAMPLES.keys()].sort(), Object.keys(CASES).sort())
})

for (const [name, text] of [...RECIPES, ...EXAMPLES]) {
  t.test(`${name}: does what it says`, async (t) => {
    async function start(
      replaced: Readonly<Record<string, string>> = {},
      files: Readonly<Record<string, string>> = {},
    ) {
      let written = text
      for (const [from, to] of Object.entries(replaced)) written = written.replace(from, to)
      const env = { SLUICE_SECRET: SECRET, REDIS_URL: replaced.REDIS_URL ?? '' }
      const upstream = await startUpstream(t, async ({ request, body, send }) => {
        await body()
        if (request.target === '/slow') await delay(800)
        send(ok())
      })
      const { listen, admin, ...policy } = policyOf(written, env, files)
      return startTestApp(t, { ...policy, upstream: { ...policy.upstream, url: upstream.url } })
    }
    await CASES[name]!(t, { start, text })
  })
}
