import t from 'tap'
import { defaultPolicy, parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'
import type { Policy } from '../../src/policy/types.ts'
import { brief, fixture, NOW, parse, policyOf, problemsOf, SECRET } from './read-fixture.ts'

const ANYTHING = { paths: [], methods: [], notMethods: [], hosts: [], headers: [] }

t.test('no file at all limits each device to 600 a minute and a burst of 120', async (t) => {
  const result = defaultPolicy({ SLUICE_SECRET: SECRET })
  t.strictSame(result, {
    ok: true,
    policy: {
      hash: result.ok && result.policy.hash,
      listen: { host: '0.0.0.0', port: 8080 },
      admin: { host: '127.0.0.1', port: 8081 },
      adminToken: null,
      upstream: {
        url: 'http://127.0.0.1:3000',
        tls: null,
        connectTimeout: 2000,
        responseTimeout: 30_000,
        idleTimeout: 300_000,
        keepAliveTimeout: 4000,
        maxConnections: 256,
        maxQueue: 1024,
        queueTimeout: 5000,
        maxStreams: 10_000,
        maxPerNetwork: 0.25,
        maxHeaderBytes: 65_536,
        maxHeaders: 500,
        responseBuffer: 262_144,
        preserveHost: true,
        pathCase: 'insensitive',
      },
      server: {
        headerTimeout: 10_000,
        minRate: 500,
        minRateGrace: 20_000,
        requestBuffer: 65_536,
        keepAliveTimeout: 65_000,
        maxHeaderBytes: 16_384,
        maxHeaders: 100,
        maxConnections: 20_000,
        drainDelay: 0,
        drainTimeout: 25_000,
        workers: 1,
        methodOverride: 'strip',
      },
      store: { kind: 'memory', maxBuckets: 1_000_000 },
      identity: {
        secrets: [SECRET],
        secretIsRandom: false,
        trustedProxies: [],
        clientAddress: { kind: 'x-forwarded-for' },
        admission: { maxDevices: 512, burst: 128, rate: { tokens: 64, seconds: 60 }, idle: 1_800_000 },
        network: {
          ipv4: 32,
          ipv6: 64,
          ipv6Parents: [
            { prefix: 56, factor: 1 },
            { prefix: 48, factor: 4 },
          ],
        },
        deviceCookie: { enabled: true, maxAge: 7 * 86_400_000, sameSite: 'lax', tokenHeader: 'device-token' },
        jwt: [],
        apiKeys: null,
        clientCertificate: null,
        networks: [],
      },
      exemptPreflight: true,
      exempt: [],
      deny: [],
      limits: [
        {
          name: 'device',
          per: 'device',
          rate: { tokens: 600, seconds: 60 },
          burst: 120,
          tiers: null,
          match: ANYTHING,
          cost: 1,
          mode: 'enforce',
          headers: true,
          newcomers: { rate: { tokens: 3000, seconds: 60 }, burst: 240 },
          members: null,
          onMissing: null,
          onError: 'local',
          lease: 'auto',
        },
      ],
      refuse: { retryJitter: 0, legacyHeaders: 'off', body: null, cors: { origins: ['*'] } },
      mode: 'enforce',
      log: { level: 'info', access: 'all', sample: 1, clientAddress: false, path: false },
    },
    warnings: [],
  })
})

t.test("the design's example, which shows the defaults, is the default policy", async (t) => {
  t.strictSame(withoutSecrets(policyOf(fixture('design.yaml'))), withoutSecrets(policyOf('version: 1')))
})

t.test('everything that can be written is read, in its units', async (t) => {
  const result = parsePolicy({
    text: fixture('good/everything.yaml'),
    file: 'good/everything.yaml',
    env: { TOKEN: 'open-sesame', PRESERVE: '' },
    readFile: fixture,
    now: NOW,
  })
  if (!result.ok) {
    t.fail(result.problems.map((problem) => formatProblem(problem)).join('\n'))
    return
  }
  const { hash, ...policy } = result.policy
  t.match(hash, /^[0-9a-f]{12}$/)
  t.strictSame(policy, {
    listen: { host: '0.0.0.0', port: 9090 },
    admin: { host: '::1', port: 0 },
    adminToken: 'open-sesame',
    upstream: {
      url: 'https://api.internal',
      tls: { ca: null, cert: null, key: null, serverName: 'api.example' },
      connectTimeout: 250,
      responseTimeout: 3_600_000,
      idleTimeout: 86_400_000,
      keepAliveTimeout: 60_000,
      maxConnections: 7,
      maxQueue: 0,
      queueTimeout: 1500,
      maxStreams: 0,
      maxPerNetwork: 0.5,
      maxHeaderBytes: 65_536,
      maxHeaders: 500,
      responseBuffer: 262_144,
      preserveHost: false,
      pathCase: 'sensitive',
    },
    server: {
      headerTimeout: 5000,
      minRate: 500,
      minRateGrace: 20_000,
      requestBuffer: 65_536,
      keepAliveTimeout: 65_000,
      maxHeaderBytes: 32_768,
      maxHeaders: 100,
      maxConnections: 20_000,
      drainDelay: 5000,
      drainTimeout: 0,
      workers: 'auto',
      methodOverride: 'match',
    },
    store: {
      kind: 'redis',
      maxBuckets: 500,
      servers: { kind: 'single', url: 'redis://sluice:p%40ss@redis.internal:6380/2' },
      password: 'redis-password',
      tls: null,
      keyPrefix: 'app:',
      timeout: 50,
      onError: 'allow',
      expectedInstances: 3,
      lease: 'off',
    },
    identity: {
      secrets: [SECRET, 'fedcba9876543210fedcba9876543210'],
      secretIsRandom: false,
      trustedProxies: ['127.0.0.0/8', '::1/128', '192.0.2.7/32', '2001:db8::/32', '169.254.0.0/16', 'fe80::/10'],
      clientAddress: { kind: 'header', header: 'cf-connecting-ip' },
      admission: { maxDevices: 2000, burst: 10, rate: { tokens: 5, seconds: 60 }, idle: 600_000 },
      // The default parent that is no wider than a network is none.
      network: { ipv4: 24, ipv6: 56, ipv6Parents: [{ prefix: 48, factor: 4 }] },
      deviceCookie: { enabled: true, maxAge: 86_400_000, sameSite: 'strict', tokenHeader: 'x-device' },
      jwt: [
        {
          issuer: 'https://idp.example',
          audiences: ['api', 'web'],
          keys: { url: 'https://idp.example/jwks' },
          algorithms: ['RS256', 'EdDSA'],
          principal: ['sub'],
          enrolment: 'open',
        },
        {
          issuer: 'internal',
          audiences: ['api'],
          keys: { set: JSON.parse(fixture('files/jwks.json')).keys },
          algorithms: ['ES256'],
          principal: ['iss', 'sub'],
          enrolment: 'controlled',
        },
      ],
      clientCertificate: { header: 'x-forwarded-client-cert', field: 'hash', enrolment: 'controlled' },
      networks: [
        { cidr: '203.0.113.0/24', maxDevices: 2000, ipv6Parents: null, note: 'head office' },
        {
          cidr: '2001:db8::/32',
          maxDevices: null,
          ipv6Parents: [
            { prefix: 48, factor: 9 },
            { prefix: 40, factor: 20 },
          ],
          note: null,
        },
      ],
      apiKeys: { header: 'x-key', principals: new Map([[SECRET.repeat(2), 'acme']]), enrolment: 'controlled' },
    },
    exemptPreflight: false,
    exempt: [
      {
        name: 'synthetic',
        cidr: ['10.1.0.0/16'],
        match: { ...ANYTHING, paths: ['/health'] },
        until: Date.UTC(2027, 0, 1),
        reason: 'monitoring',
      },
      {
        name: 'bot',
        cidr: [],
        match: { ...ANYTHING, headers: [{ name: 'user-agent', value: 'good-bot/*' }] },
        until: Date.UTC(2027, 0, 1, 7, 30),
        reason: null,
      },
    ],
    deny: [{ name: 'scraper-co', cidr: ['198.51.100.0/24'], match: ANYTHING, until: null, reason: null, status: 451 }],
    limits: [
      {
        name: 'device',
        per: 'device',
        rate: { tokens: 10, seconds: 1 },
        burst: 10,
        tiers: null,
        match: ANYTHING,
        cost: 1,
        mode: 'enforce',
        headers: true,
        newcomers: { rate: { tokens: 50, seconds: 1 }, burst: 20 },
        members: null,
        onMissing: null,
        onError: 'allow',
        lease: 'off',
      },
      {
        name: 'login',
        per: 'device',
        rate: { tokens: 600, seconds: 3600 },
        burst: 20,
        tiers: null,
        match: {
          paths: ['/login', '/v1/*/items/**'],
          methods: ['POST'],
          notMethods: [],
          hosts: ['*.example.com', '[::1]'],
          headers: [],
        },
        cost: 2,
        mode: 'shadow',
        headers: false,
        newcomers: { rate: { tokens: 50, seconds: 60 }, burst: 40 },
        members: { base: { tokens: 100, seconds: 1 }, perDevice: { tokens: 30, seconds: 60 } },
        onMissing: null,
        onError: 'deny',
        lease: 'auto',
      },
      {
        name: 'customer',
        per: 'principal',
        rate: { tokens: 10_000, seconds: 86_400 },
        burst: 10_000,
        tiers: null,
        match: ANYTHING,
        cost: 1,
        mode: 'enforce',
        headers: true,
        newcomers: null,
        members: null,
        onMissing: 'share',
        onError: 'allow',
        lease: 'off',
      },
      {
        name: 'tenant',
        per: [
          { kind: 'header', name: 'x-tenant' },
          { kind: 'claim', name: 'plan' },
          { kind: 'path', segment: 12 },
          { kind: 'host' },
        ],
        rate: { tokens: 5, seconds: 1 },
        burst: 5,
        tiers: null,
        match: ANYTHING,
        cost: 1,
        mode: 'enforce',
        headers: true,
        newcomers: null,
        members: null,
        onMissing: 'skip',
        onError: 'allow',
        lease: 'off',
      },
    ],
    refuse: {
      retryJitter: 0.125,
      legacyHeaders: 'delta',
      body: { text: '<p>Too many requests.</p>\n', type: 'text/html; charset=utf-8' },
      cors: { origins: ['https://app.example.com', 'http://localhost:5173'] },
    },
    mode: 'shadow',
    log: { level: 'warn', access: 'refused', sample: 0.01, clientAddress: true, path: true },
  })
})

t.test('a byte order mark is ignored, and columns count without it', async (t) => {
  t.strictSame(problemsOf('\ufeffversion: 1'), [])
  t.match(parse('\ufeffversion: 2'), { problems: [{ line: 1, column: 10 }] })
})

t.test('a problem in one place hides none in another', async (t) => {
  const text =
    'version: 1\nlimits:\n  - {name: a, per: device, rate: 10/sek}\n  - {name: b, per: device, rate: 1/s, cost: 2}\n'
  t.match(problemsOf(text), [/^limits\[0\]\.rate: /, /^limits\[1\]\.cost: /])
})

t.test('what depends on something wrong is not reported as well', async (t) => {
  const text = 'version: 1\nlimits:\n  - {name: a, per: device, rate: 1/s, burst: many, cost: 50}\n'
  t.match(problemsOf(text), [/^limits\[0\]\.burst: 'many'/])
})

t.test('a broken line does not hide the mistakes before it, and none is made up behind it', async (t) => {
  const result = parse('version: 1\nmode: shaddow\nlog: {level: info\nlisten: 8080\n')
  t.match(result, {
    ok: false,
    problems: [
      { line: 2, path: 'mode' },
      { line: 4, path: '' },
    ],
  })
  t.equal(result.ok ? 0 : result.problems.length, 2)
})

t.test('odd policies are good ones with a warning', async (t) => {
  const warnings = (text: string) => parse(text, { SLUICE_SECRET: SECRET }).warnings.map(brief)
  t.match(parse('version: 1').warnings.map(brief), [/^identity\.secret: is not given, so a random one is used/])
  t.match(warnings('version: 1\nlimits: []'), [/^limits: is an empty list: nothing is limited/])
  t.match(warnings('version: 1\nlimits: [{name: a, per: network, rate: 10/s, burst: 5}]'), [
    /^limits\[0\]\.burst: 5 is less/,
  ])
  t.match(warnings('version: 1\nlimits: [{name: a, per: device, rate: 1/s, burst: 5, newcomers: {burst: 4}}]'), [
    /^limits\[0\]\.newcomers\.burst: 4 is less than the burst 5/,
  ])
  t.match(warnings('version: 1\nexempt: [{name: a, until: 2026-06-30}]'), [/^exempt\[0\]\.until: has passed/])
  t.strictSame(warnings('version: 1\nexempt: [{name: a, until: 2026-07-02}]'), [])
})

t.test('a random secret is another one each time', async (t) => {
  const first = policyOf('version: 1').identity
  t.equal(first.secretIsRandom, true)
  t.match(first.secrets, [/^[0-9a-f]{64}$/])
  t.not(first.secrets[0], policyOf('version: 1').identity.secrets[0])
})

t.test('the hash is that of what the policy means, not of how it is written', async (t) => {
  const hash = (text: string, env = {}) => policyOf(text, env).hash
  t.equal(hash('version: 1'), hash('version: 1'), 'whatever the random secret')
  t.equal(hash('mode: enforce\nversion: 1\nserver: {drain_timeout: 25000ms}'), hash('version: 1'))
  t.equal(hash('version: 1', { SLUICE_ADMIN_TOKEN: 'abc' }), hash('version: 1'))
  t.not(hash('version: 1\nmode: shadow'), hash('version: 1'))
  const redis = (userinfo: string) =>
    hash('version: 1', { SLUICE_SECRET: SECRET, SLUICE_REDIS_URL: `redis://${userinfo}r` })
  t.equal(redis('a:b@'), redis(''))
})

t.test('a thousand limits are read well within a second', async (t) => {
  let text = 'version: 1\nlimits:\n'
  for (let i = 0; i < 1000; i++)
    text += `  - {name: limit-${i}, per: device, rate: 10/s, match: {path: /a/${i}/**, methods: [GET]}}\n`
  policyOf('version: 1')
  const start = process.cpuUsage()
  t.equal(policyOf(text).limits.length, 1000)
  // Not the clock on the wall: other tests run beside this one.
  t.ok(process.cpuUsage(start).user < 2_000_000)
})

function withoutSecrets(policy: Policy): object {
  return { ...policy, identity: { ...policy.identity, secrets: [] } }
}

t.test(
  'the fastest rate is accepted per device too; what devices share of it is as fast as a bucket can be',
  async (t) => {
    const { limits } = policyOf('version: 1\nlimits: [{name: a, per: device, rate: 1000000/s, burst: 1000000000}]')
    t.same(limits[0]!.newcomers, { rate: { tokens: 1_000_000, seconds: 1 }, burst: 1_000_000_000 })
    t.match(problemsOf('version: 1\nlimits: [{name: a, per: network, rate: 1000001/s}]'), [/write at most 1000000\/s$/])
  },
)

t.test('a rate in other words is answered with the rate that it is likely to mean', async (t) => {
  const cases = {
    '10/sec': '10/s',
    '60 per minute': '60/min',
    '5/15m': '20/h with burst: 5',
    '100/10s': '10/s with burst: 100',
    '7/9min': '1120/d with burst: 7',
    '1/400d': 'a whole number and a unit, such as 10/s, 600/min, 1200/h or 10000/d',
  }
  for (const [rate, write] of Object.entries(cases)) {
    t.same(problemsOf(`version: 1\nlimits: [{name: a, per: network, rate: ${rate}}]`), [
      `limits[0].rate: '${rate}' is not a rate; write ${write}`,
    ])
  }
})
