// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the policy's variables
import t from 'tap'
import { defaultPolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'
import { parse, policyOf, problemsOf, SECRET } from './read-fixture.ts'

t.test('the environment wins over the file', async (t) => {
  const text = `
version: 1
listen: :1000
admin: :1001
admin_token: from-the-file
upstream: {url: http://file:1}
identity: {secret: "${'f'.repeat(32)}", trusted_proxies: [10.0.0.0/8]}
log: {level: debug}
`
  const policy = policyOf(text, {
    SLUICE_UPSTREAM: 'http://env:2',
    SLUICE_LISTEN: ':2000',
    SLUICE_ADMIN: '[::]:2001',
    SLUICE_ADMIN_TOKEN: 'from-the-env',
    SLUICE_REDIS_URL: 'redis://env:6379',
    SLUICE_SECRET: SECRET,
    SLUICE_TRUSTED_PROXIES: 'loopback, 192.0.2.1',
    SLUICE_LOG_LEVEL: 'silent',
  })
  t.match(policy, {
    listen: { host: '0.0.0.0', port: 2000 },
    admin: { host: '::', port: 2001 },
    adminToken: 'from-the-env',
    upstream: { url: 'http://env:2' },
    store: { kind: 'redis', servers: { kind: 'single', url: 'redis://env:6379' }, keyPrefix: 'sluice:' },
    identity: { secrets: [SECRET], trustedProxies: ['127.0.0.0/8', '::1/128', '192.0.2.1/32'] },
    log: { level: 'silent' },
  })
})

t.test('the environment wins over the files that the policy names for the same', async (t) => {
  const text = 'version: 1\nadmin_token_file: token\nidentity: {secret_file: secret}\n'
  const policy = policyOf(text, { SLUICE_SECRET: SECRET, SLUICE_ADMIN_TOKEN: 'abc' })
  t.match(policy, { adminToken: 'abc', identity: { secrets: [SECRET] } })
})

t.test('an empty variable counts as unset', async (t) => {
  t.equal(policyOf('version: 1\nlisten: :1000', { SLUICE_LISTEN: '', SLUICE_TRUSTED_PROXIES: '' }).listen.port, 1000)
})

t.test('a bad value is reported by the name of its variable, without a line', async (t) => {
  const result = defaultPolicy({
    SLUICE_LISTEN: 'nowhere',
    SLUICE_UPSTREAM: 'wss://a',
    SLUICE_TRUSTED_PROXIES: '10.0.0.1/8,loopback',
    SLUICE_LOG_LEVEL: 'loud',
  })
  t.strictSame(result.ok || result.problems.map((problem) => formatProblem(problem)), [
    "SLUICE_LISTEN: 'nowhere' is not an address to listen on; write host:port, such as 0.0.0.0:8080 or :8080",
    "SLUICE_UPSTREAM: 'wss://a' is not an upstream; write http://host:port, https://host:port or unix:/path.sock",
    "SLUICE_TRUSTED_PROXIES: '10.0.0.1/8' has bits set beyond its prefix; write 10.0.0.0/8",
    "SLUICE_LOG_LEVEL: 'loud' is not a choice here; write trace, debug, info, warn, error, fatal or silent",
  ])
})

t.test('an address of a Redis alone lacks the secret that instances must share', async (t) => {
  t.match(problemsOf('version: 1', { SLUICE_REDIS_URL: 'redis://r' }), [/^SLUICE_REDIS_URL: redis needs a secret/])
})

t.test('a section that is no map is a problem, also where the environment would fill it', async (t) => {
  t.match(problemsOf('version: 1\nupstream: [a]', { SLUICE_UPSTREAM: 'http://a' }), [/^upstream: a list is not a map/])
})

t.test('a variable fills a value, and a default stands in where it is unset or empty', async (t) => {
  const text = 'version: 1\nlisten: "${HOST:-127.0.0.1}:${PORT:-9000}"\n'
  t.strictSame(policyOf(text).listen, { host: '127.0.0.1', port: 9000 })
  t.strictSame(policyOf(text, { HOST: '', PORT: '9001' }).listen, { host: '127.0.0.1', port: 9001 })
})

t.test('a plain value is read again once its variables are filled in, a quoted one stays text', async (t) => {
  t.equal(policyOf('version: 1\nupstream: {max_queue: 5}\nstore:\n  max_buckets: ${N:-1000}').store.maxBuckets, 1000)
  t.equal(policyOf('version: 1\nupstream:\n  preserve_host: ${P}', { P: 'false' }).upstream.preserveHost, false)
  t.match(problemsOf('version: 1\nstore: {max_buckets: "${N}"}', { N: '7' }), [
    /^store\.max_buckets: '7' is out of range or/,
  ])
})

t.test('a text of digits from a variable is still a text where one is wanted', async (t) => {
  const digits = '1'.repeat(40)
  t.strictSame(policyOf('version: 1\nidentity:\n  secret: ${S}', { S: digits }).identity.secrets, [digits])
})

t.test('an empty variable is no secret rather than an empty one', async (t) => {
  t.equal(
    policyOf('version: 1\nidentity:\n  secret: ${S}\nadmin_token: ${T:-}', { S: '' }).identity.secretIsRandom,
    true,
  )
})

t.test('$${ stands for the characters themselves', async (t) => {
  const text = "version: 1\nexempt: [{name: a, reason: 'costs $${X} and $5'}]"
  t.equal(policyOf(text, { X: 'no' }).exempt[0]?.reason, 'costs ${X} and $5')
})

t.test('what a variable holds is filled in once, and never becomes YAML', async (t) => {
  const reason = (value: string) =>
    policyOf('version: 1\nexempt:\n  - name: a\n    reason: x${R}', { R: value, X: 'no' }).exempt[0]?.reason
  for (const value of ['\nmode: shadow', ': {a: b}', ' # comment', '&a *a', '${X}', '"', "'", '- a', '!!int 5']) {
    t.equal(reason(value), `x${value}`)
  }
  t.match(problemsOf('version: 1\nlisten: ${L}', { L: ':80\nmode: shadow' }), [
    /^listen: ':80\u00b7mode: shadow' is not/,
  ])
})

t.test('variables are for values, not for keys', async (t) => {
  t.match(problemsOf('version: 1\n"${K}": shadow', { K: 'mode' }), [/is not a key that is known/])
  t.match(parse('version: 1\nmode: ${toString}'), { problems: [{ message: /the environment has no toString/ }] })
})
