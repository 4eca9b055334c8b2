import t from 'tap'
import { parsePolicy } from '../../src/policy/parse.ts'
import { printPolicy } from '../../src/policy/print.ts'
import { fixture, NOW, SECRET } from './read-fixture.ts'

const EVERYTHING_ENV = { TOKEN: 'a-token-from-the-environment', CONNECTIONS: '9' }

function print(text: string, env: Readonly<Record<string, string>> = {}): string[] {
  return printPolicy({ text, file: 'policy.yaml', env }).split('\n')
}

function hashOf(text: string, env: Readonly<Record<string, string>>): string {
  const readFile = (name: string) => fixture(`good/${name}`)
  const result = parsePolicy({ text, file: 'policy.yaml', env, readFile, now: NOW })
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2))
  return result.policy.hash
}

/** A variable as a policy names it. */
function variable(name: string): string {
  return `\${${name}}`
}

t.test('each value is told with where it comes from', async (t) => {
  const lines = print(
    [
      '\ufeffversion: 1',
      `store: {max_buckets: "${variable('BUCKETS:-500')}"}`,
      'limits:',
      '  - name: api',
      '    per: network',
      '    rate: 600/min',
    ].join('\n'),
    { SLUICE_LISTEN: ':9000', SLUICE_TRUSTED_PROXIES: '10.0.0.0/8,private', BUCKETS: '700' },
  )
  const origin = (start: string) => lines.find((line) => line.trim().startsWith(start))?.replace(/^.*?\S +# /, '')
  t.equal(origin('version: 1'), 'policy.yaml:1')
  t.equal(origin('listen: :9000'), 'SLUICE_LISTEN')
  t.equal(origin('trusted_proxies: [10.0.0.0/8, private]'), 'SLUICE_TRUSTED_PROXIES')
  t.equal(origin('max_buckets: '), 'policy.yaml:2, BUCKETS')
  t.equal(origin('connect_timeout: 2s'), 'default')
  t.equal(origin('- name: api'), 'policy.yaml:4')
  t.equal(origin('rate: 600/min'), 'policy.yaml:6')
  t.equal(origin('burst: 600'), "the rate's count")
  t.equal(origin('store:'), 'store:', 'a map has none of its own')
})

t.test('what is printed is a policy that means the same', async (t) => {
  const env = { SLUICE_SECRET: SECRET }
  const hash = (text: string, more: Readonly<Record<string, string>> = {}) => hashOf(text, { ...env, ...more })
  for (const text of ['version: 1', 'version: 1\nlimits: []', fixture('design.yaml')]) {
    t.equal(hash(print(text, env).join('\n')), hash(text))
  }
  const written = fixture('good/everything.yaml')
  const printed = print(written, { ...env, ...EVERYTHING_ENV }).join('\n')
  // The password of Redis is hidden, and with it the user's name.
  t.equal(hash(printed.replace('//***@', '//sluice:x@')), hash(written, EVERYTHING_ENV))
})

t.test('no secret is printed, wherever it comes from', async (t) => {
  const secrets = {
    ADMIN: 'the-admin-token',
    SLUICE_SECRET: SECRET,
    REDIS: 'redis://user:the-password@redis:6379',
    KEY: 'Bearer the-bearer-token',
  }
  const text = [
    'version: 1',
    `admin_token: ${variable('ADMIN')}`,
    `store: {kind: redis, url: "${variable('REDIS')}"}`,
    'limits:',
    '  - name: api',
    '    per: network',
    '    rate: 10/s',
    `    match: {header: {Authorization: "${variable('KEY')}", X-Api-Key: the-api-key, X-Tenant: acme}}`,
  ].join('\n')
  const printed = print(text, secrets).join('\n')
  for (const secret of ['the-admin-token', SECRET, 'the-password', 'the-bearer-token', 'the-api-key']) {
    t.notMatch(printed, secret)
  }
  t.match(printed, 'url: redis://***@redis:6379')
  t.match(printed, 'X-Tenant: acme')
})

t.test('text that could be taken for something else stands in quotes', async (t) => {
  const reason = 'yes: "no" # \u001b[31m\nnext'
  const text = `version: 1\nexempt: [{name: a, reason: ${JSON.stringify(reason)}}]`
  const lines = print(text)
  t.notMatch(lines.join('\n'), '\u001b')
  t.equal(hashOf(lines.join('\n'), { SLUICE_SECRET: SECRET }), hashOf(text, { SLUICE_SECRET: SECRET }))
})
