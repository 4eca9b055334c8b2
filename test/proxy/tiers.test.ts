import { createHash } from 'node:crypto'
import t from 'tap'
import { startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'
import { policyOf } from '../policy/read-fixture.ts'

const KEYS = { keys: `sha256:${createHash('sha256').update('good').digest('hex')} acme\n` }
const POLICY = `version: 1
identity:
  api_keys: {header: x-api-key, hashes_file: keys, enrolment: controlled}
limits:
  - {name: device, per: network, rate: 1/h, burst: 2, skip_for: principal}
  - {name: anonymous, per: global, rate: 1/h, burst: 50, match: {tier: [anonymous, token]}}
`

t.test('a limit counts the tiers that it is for, by what was verified and not by what is claimed', async (t) => {
  const upstream = await startUpstream(t)
  const { limits, identity } = policyOf(POLICY, {}, KEYS)
  const { url, metric } = await startTestApp(t, {
    upstream: { url: upstream.url },
    limits,
    identity: { apiKeys: identity.apiKeys },
  })
  const status = async (...headers: string[]) => (await ask(t, url, get('/', ...headers))).status
  for (let i = 0; i < 5; i++) t.equal(await status('X-Api-Key: good'), 200)
  for (const expected of [200, 200, 429]) t.equal(await status('X-Api-Key: forged'), expected)
  t.equal(await status('X-Api-Key: good', 'User-Agent: a'), 200)
  t.equal(await status('Authorization: Bearer good'), 429)
  t.equal(await status(), 429)
  t.equal(await metric('sluice_limit_decisions_total', { limit: 'anonymous', outcome: 'allowed' }), 2)
})

t.test('a client that shows nothing usable is anonymous', async (t) => {
  const upstream = await startUpstream(t)
  const { url } = await startTestApp(t, {
    upstream: { url: upstream.url },
    limits: [limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 1, tiers: ['anonymous'] })],
  })
  const bare = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  for (const expected of [200, 429]) t.equal((await ask(t, url, bare)).status, expected)
})
