import { generateKeyPairSync } from 'node:crypto'
import { SignJWT } from 'jose'
import t, { type Test } from 'tap'
import type { JwtPolicy, Limit, RedisServers, Source, StorePolicy } from '../../src/policy/types.ts'
import { AMPLE, type PolicyChanges } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { startCluster } from '../fixtures/redis-topologies.ts'
import { path, startThrough } from '../fixtures/through.ts'

/** Limits that are keyed by a list of sources, through the whole proxy, over both stores. */

const SECRET = 'a secret of at least thirty-two bytes'
const HOUR = { tokens: 1, seconds: 3600 }
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const IDP: JwtPolicy = {
  issuer: 'https://idp.example',
  audiences: ['api'],
  keys: { set: [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }] },
  algorithms: ['RS256'],
  principal: ['sub'],
  enrolment: 'controlled',
}

const redis = await startRedis()
t.teardown(() => redis.stop())
let opened = 0

function inRedis(servers: RedisServers): StorePolicy {
  const keyPrefix = `keys-${opened++}:`
  const rest = { maxBuckets: 1000, password: null, tls: null, expectedInstances: 1 }
  return { kind: 'redis', servers, keyPrefix, timeout: 5000, onError: 'deny', lease: 'auto', ...rest }
}

const STORES: Readonly<Record<string, () => StorePolicy>> = {
  memory: () => ({ kind: 'memory', maxBuckets: 1000 }),
  redis: () => inRedis({ kind: 'single', url: redis.url }),
}

/** One request an hour for each key. */
function keyedBy(per: readonly Source[], changes: Partial<Limit> = {}): Limit {
  return limitOf({ name: 'keyed', per, rate: HOUR, burst: 1, ...changes })
}

async function start(t: Test, limit: Limit, store: StorePolicy, changes: PolicyChanges = {}) {
  const identity = { secrets: [SECRET] as const, ...changes.identity }
  const test = await startThrough(t, { limits: [AMPLE, limit], store, ...changes, identity })
  return {
    ...test,
    status: async (...request: Parameters<typeof get>) => (await ask(t, test.url, get(...request))).status,
  }
}

const token = (claims: object, expires = '10m') =>
  new SignJWT({ iss: IDP.issuer, aud: 'api', sub: 'alice', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: '1' })
    .setExpirationTime(expires)
    .sign(privateKey)
const unsigned = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`

const tenant: Source = { kind: 'header', name: 'x-tenant' }

/** A source, two spellings of one value, and another value. */
const TOLD: Readonly<Record<string, readonly [Source, string[], string[], string[]]>> = {
  header: [tenant, ['/', 'X-Tenant: a'], ['/other', 'x-tenant:  a '], ['/', 'X-Tenant: b']],
  cookie: [
    { kind: 'cookie', name: 'sid' },
    ['/', 'Cookie: sid=a'],
    ['/', 'Cookie: xsid=b; Sid ="%61"; sid2=c; sid=a'],
    ['/', 'Cookie: sid=b'],
  ],
  query: [{ kind: 'query', name: 'key' }, ['/?key=a%62'], ['/x?y=1&%6Bey=ab&key=ab'], ['/?key=b']],
  'a path segment': [{ kind: 'path', segment: 2 }, ['/t/acme/x'], ['//t/./acm%65;v=1'], ['/t/other/x']],
  method: [{ kind: 'method' }, ['/'], ['/other'], []],
}

for (const [store, policyOf] of Object.entries(STORES)) {
  t.test(`with the buckets in ${store}`, async (t) => {
    for (const [name, [source, one, again, another]] of Object.entries(TOLD)) {
      t.test(`each value of ${name} has a bucket, however it is spelled`, async (t) => {
        const { status } = await start(t, keyedBy([source], { onMissing: 'deny' }), policyOf())
        t.equal(await status(...(one as [string])), 200)
        t.equal(await status(...(again as [string])), 429)
        if (another.length > 0) t.equal(await status(...(another as [string])), 200)
      })
    }

    t.test('a host has one, with or without its port and in any case; a HEAD counts as a GET', async (t) => {
      const { url } = await start(t, keyedBy([{ kind: 'host' }, { kind: 'method' }]), policyOf())
      const from = async (method: string, host: string) =>
        (await ask(t, url, `${method} / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status
      t.equal(await from('GET', 'a.example'), 200)
      t.equal(await from('HEAD', 'A.example:80'), 429)
      t.equal(await from('DELETE', 'a.example'), 200)
      t.equal(await from('GET', 'b.example'), 200)
    })

    t.test('a verified claim has one, and a token that does not verify says nothing', async (t) => {
      const limit = keyedBy([{ kind: 'claim', name: 'plan' }], { onMissing: 'deny' })
      const { status } = await start(t, limit, policyOf(), { identity: { jwt: [IDP] } })
      const bear = async (text: string) => status('/', `Authorization: Bearer ${text}`)
      t.equal(await bear(await token({ plan: 'gold' })), 200)
      t.equal(await bear(await token({ plan: 'gold', sub: 'bob' })), 429)
      t.equal(await bear(await token({ plan: 'silver' })), 200)
      t.equal(await bear(await token({ plan: 1 })), 200)
      t.equal(await bear(await token({ plan: '1' })), 200, 'a number is no text')
      t.equal(await bear(unsigned({ plan: 'iron' })), 403)
      t.equal(await bear(await token({ plan: ['a'] })), 403)
      t.equal(await bear(await token({})), 403)
    })

    t.test('where no issuer is named a claim is what the token says', async (t) => {
      const limit = keyedBy([{ kind: 'claim', name: 'plan' }], { onMissing: 'deny' })
      const { status } = await start(t, limit, policyOf())
      const bear = async (text: string) => status('/', `Authorization: Bearer ${text}`)
      t.equal(await bear(unsigned({ plan: 'gold' })), 200)
      t.equal(await bear(unsigned({ plan: 'gold', nonce: 1 })), 429)
      t.equal(await bear(unsigned(JSON.parse('{"__proto__": {"plan": "gold"}}'))), 403)
      for (const bad of ['gold', 'a.b.c', unsigned({ plan: 'x'.repeat(8192) })]) t.equal(await bear(bad), 403, bad)
    })

    t.test('who leaves a source out is not limited, shares one bucket, or gets 403', async (t) => {
      const skip = await start(t, keyedBy([tenant], { onMissing: 'skip' }), policyOf())
      for (let i = 0; i < 3; i++) t.equal(await skip.status('/', 'X-Tenant:'), 200)
      const share = await start(t, keyedBy([tenant, { kind: 'query', name: 'q' }], { onMissing: 'share' }), policyOf())
      t.equal(await share.status('/', 'User-Agent: a'), 200)
      t.equal(await share.status('/?q=', 'User-Agent: b'), 429)
      t.equal(await share.status('/?q=-', 'User-Agent: b'), 200, 'no value is the same as none')
      t.equal(await share.status('/', 'X-Tenant: a'), 200, 'what is given still counts')
      const deny = await start(t, keyedBy([tenant], { onMissing: 'deny', match: path('/in') }), policyOf())
      const answer = await ask(t, deny.url, get('/in'))
      t.equal(answer.status, 403)
      t.equal(answer.json.detail, 'Limit "keyed" is keyed by header:x-tenant: send what is missing.')
      t.equal(await deny.status('/out'), 200)
    })

    t.test('of two values of a source neither counts: 400, and nothing goes upstream', async (t) => {
      const twice: readonly [Source, string[], RegExp][] = [
        [tenant, ['/', 'X-Tenant: a', 'X-Tenant: b'], /^The field x-tenant may come once only/],
        [{ kind: 'cookie', name: 'sid' }, ['/', 'Cookie: sid=a; sid=b'], /^cookie:sid has several values/],
        [{ kind: 'cookie', name: 'sid' }, ['/', 'Cookie: sid=a', 'Cookie: sid=b'], /^cookie:sid has several values/],
        [{ kind: 'cookie', name: 'sid' }, ['/', 'Cookie: sid=1; sid =2'], /^cookie:sid has several values/],
        [{ kind: 'cookie', name: 'sid' }, ['/', 'Cookie: sid=1; SID=2'], /^cookie:sid has several values/],
        [{ kind: 'cookie', name: 'sid' }, ['/', 'Cookie: sid=1 x=2'], /one that is read in several ways/],
        [{ kind: 'cookie', name: 'sid' }, ['/', 'Cookie: a="x; sid=2"; sid=1'], /^cookie:sid has several values/],
        [{ kind: 'query', name: 'q' }, ['/?q=a&%71=b'], /^query:q has several values/],
        [{ kind: 'query', name: 'q' }, ['/?q=&q=b'], /^query:q has several values/],
      ]
      for (const [source, request, detail] of twice) {
        const { url, upstream } = await start(t, keyedBy([source], { onMissing: 'share' }), policyOf())
        const answer = await ask(t, url, get(...(request as [string])))
        t.match([answer.status, answer.json.detail], [400, detail], request.join())
        t.equal(upstream.seen.length, 0)
      }
    })

    t.test('values are told apart whole and in their places', async (t) => {
      const limit = keyedBy([tenant, { kind: 'header', name: 'x-user' }], { onMissing: 'share' })
      const { status, upstream } = await start(t, limit, policyOf(), { server: { maxHeaderBytes: 4 * 1024 * 1024 } })
      const long = 'x'.repeat(1024 * 1024)
      const pairs: readonly (readonly [string, string])[] = [
        ['a|b', 'c'],
        ['a', 'b|c'],
        ['a', 'c'],
        ['c', 'a'],
        ['1:a', ''],
        ['1', ':a'],
        ['-', '-'],
        ['0', '1'],
        ['00', '1'],
        ['__proto__', 'constructor'],
        ['constructor', '__proto__'],
        ['\u00fc', '\u00e9'],
        ['\u00fc\u00e9', ''],
        [long, ''],
        [`${long}y`, ''],
      ]
      for (const [a, b] of pairs)
        t.equal(await status('/', `X-Tenant: ${a}`, `X-User: ${b}`), 200, `${a.slice(0, 20)} ${b}`)
      for (const [a, b] of pairs)
        t.equal(await status('/', `X-Tenant: ${a}`, `X-User: ${b}`), 429, `${a.slice(0, 20)} ${b}`)
      t.equal(upstream.seen.length, pairs.length)
    })

    t.test(
      'a device within a list stands with its network: rotating what it claims gains no more than the newcomers have',
      async (t) => {
        const pools = { burst: 2, newcomers: { rate: HOUR, burst: 4 } }
        const { status } = await start(
          t,
          keyedBy([{ kind: 'device' }, tenant], { onMissing: 'share', ...pools }),
          policyOf(),
        )
        const passes = async (count: number, fields: (i: number) => string[]) => {
          let passed = 0
          for (let i = 0; i < count; i++) if ((await status('/', ...fields(i))) === 200) passed++
          return passed
        }
        t.equal(await passes(4, () => ['X-Tenant: a', 'User-Agent: constant']), 2)
        t.equal(await passes(9, (i) => ['X-Tenant: a', `User-Agent: ${i}`]), 2, 'of four two are gone')
        t.equal(await passes(9, (i) => ['X-Tenant: b', `User-Agent: ${i}`]), 4, 'another tenant is another list')
      },
    )

    t.test('a network within a list is that of the client', async (t) => {
      const trusted = { identity: { trustedProxies: ['127.0.0.0/8'] } }
      const { status } = await start(t, keyedBy([{ kind: 'network' }, { kind: 'host' }]), policyOf(), trusted)
      t.equal(await status('/', 'X-Forwarded-For: 198.51.100.1', 'User-Agent: a'), 200)
      t.equal(await status('/', 'X-Forwarded-For: 198.51.100.1', 'User-Agent: b'), 429)
      t.equal(await status('/', 'X-Forwarded-For: 198.51.100.2'), 200)
    })

    t.test('a field that only a trusted proxy may write says nothing from others', async (t) => {
      const limit = keyedBy([{ kind: 'header', name: 'x-ja4' }], { onMissing: 'deny' })
      const stranger = await start(t, limit, policyOf())
      t.equal(await stranger.status('/', 'X-JA4: t13d'), 403)
      const proxied = await start(t, limit, policyOf(), { identity: { trustedProxies: ['127.0.0.0/8'] } })
      t.equal(await proxied.status('/', 'X-JA4: t13d'), 200)
      t.equal(await proxied.status('/', 'X-JA4: t13d'), 429)
    })
  })
}

t.test('instances share the buckets of a list through Redis, which never sees a value', async (t) => {
  const store = inRedis({ kind: 'single', url: redis.url })
  const limit = keyedBy([tenant, { kind: 'cookie', name: 'sid' }], { onMissing: 'share' })
  const [one, two] = [await start(t, limit, store), await start(t, limit, store)]
  const request = ['/', 'X-Tenant: canary-tenant', 'Cookie: sid=canary-session'] as const
  t.equal(await one.status(...request), 200)
  t.equal(await two.status(...request), 429)
  const keys = await redis.cli('--scan', '--pattern', '*keyed:*')
  t.ok(keys.length > 0)
  t.notMatch(await redis.cli('--scan'), /canary/)
  t.notMatch([...one.lines, ...two.lines].join(''), /canary/)
})

t.test('a key that says the same of another source is another key', async (t) => {
  const store = inRedis({ kind: 'single', url: redis.url })
  const byHeader = await start(t, keyedBy([tenant], { onMissing: 'share' }), store)
  const byQuery = await start(t, keyedBy([{ kind: 'query', name: 'x-tenant' }], { onMissing: 'share' }), store)
  t.equal(await byHeader.status('/', 'X-Tenant: a'), 200)
  t.equal(await byQuery.status('/?x-tenant=a'), 200)
})

t.test('on a cluster every key has its tag, and those of a network lie together', async (t) => {
  const nodes = await startCluster(t)
  const store = inRedis({ kind: 'cluster', nodes: [nodes[0]!.url] })
  const device = limitOf({ rate: HOUR, burst: 9 })
  const byNetwork = keyedBy([{ kind: 'network' }, tenant], { name: 'here', onMissing: 'share', burst: 2 })
  const byTenant = keyedBy([tenant], { name: 'there', onMissing: 'share', burst: 3 })
  const { status } = await start(t, byNetwork, store, { limits: [device, byNetwork, byTenant] })
  for (const wanted of [200, 200, 429, 429]) t.equal(await status('/', 'X-Tenant: a'), wanted)
  t.equal(await status('/', 'X-Tenant: b'), 200)
  const keys = (await Promise.all(nodes.map((node) => node.cli('--scan')))).join('\n').split('\n')
  const tagged = (name: string) => keys.flatMap((key) => new RegExp(`\\{([\\w-]{8})\\}${name}:`).exec(key)?.[1] ?? [])
  t.equal(tagged('here').length, 2)
  t.same(new Set(tagged('here')), new Set(tagged('device\\+newcomers')), 'with the pools of their network')
  t.equal(new Set(tagged('there')).size, 2)
})

t.test('a reload that keys a limit otherwise begins it anew, and one that does not keeps its balances', async (t) => {
  const { app, policy, status } = await start(t, keyedBy([tenant], { onMissing: 'share' }), STORES.memory!())
  t.equal(await status('/', 'X-Tenant: a'), 200)
  app.reload({ ...policy, hash: 'next' })
  t.equal(await status('/', 'X-Tenant: a'), 429)
  app.reload({ ...policy, limits: [AMPLE, keyedBy([tenant, { kind: 'host' }], { onMissing: 'share' })] })
  t.equal(await status('/', 'X-Tenant: a'), 200)
})

t.test(
  'a header that a limit is keyed by reaches the upstream though Connection names it, its twin does not',
  async (t) => {
    const { url, upstream } = await start(t, keyedBy([tenant], { onMissing: 'deny' }), STORES.memory!())
    await ask(t, url, get('/', 'X-Tenant: a', 'x_tenant: b', 'Connection: X-Tenant'))
    t.equal(upstream.seen[0]!.one('x-tenant'), 'a')
    t.equal(upstream.seen[0]!.one('x_tenant'), undefined)
  },
)
