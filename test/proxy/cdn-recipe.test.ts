import { readFileSync } from 'node:fs'
import t from 'tap'
import { startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'
import { policyOf } from '../policy/read-fixture.ts'

/** The recipe as docs/15 has it; the balancer of this test connects from the loopback instead of a private network. */
function recipe() {
  const page = readFileSync('docs/15-recipes.md', 'utf8')
  const [, section] = page.split('## A CDN, a balancer, Sluice\n')
  const [, yaml] = /```yaml\n([^`]*)```/.exec(section!)!
  return policyOf(yaml!.replace('private', 'loopback')).identity
}

t.test('behind a CDN and a balancer each client is counted by its own address, whatever it writes', async (t) => {
  const { trustedProxies, clientAddress } = recipe()
  const upstream = await startUpstream(t)
  const { url } = await startTestApp(t, {
    upstream: { url: upstream.url },
    identity: { trustedProxies, clientAddress },
    limits: [limitOf({ name: 'one', per: 'network', rate: { tokens: 1, seconds: 3600 }, burst: 1 })],
  })
  const edge = '173.245.48.10'
  const status = async (...headers: string[]) => (await ask(t, url, get('/', ...headers))).status
  t.equal(await status(`X-Forwarded-For: 203.0.113.1, ${edge}`), 200)
  t.equal(await status(`X-Forwarded-For: 203.0.113.1, ${edge}`), 429)
  t.equal(await status(`X-Forwarded-For: 198.51.100.9, 203.0.113.1, ${edge}`), 429, 'what a client wrote is not read')
  t.equal(await status(`X-Forwarded-For: ${edge}, 203.0.113.1, ${edge}`), 429, 'nor does an address of the CDN hide it')
  t.equal(await status(`X-Forwarded-For: 203.0.113.2, ${edge}`), 200, 'another client of the CDN')
  t.equal(await status(`X-Forwarded-For: 203.0.113.3, ${edge}, 203.0.113.4`), 200, 'a client of the balancer itself')
  t.equal(await status(`X-Forwarded-For: 203.0.113.5, ${edge}, 203.0.113.4`), 429, 'cannot pass for one of the CDN')
  t.equal(
    await status('CF-Connecting-IP: 203.0.113.6', 'X-Forwarded-For: 203.0.113.4'),
    429,
    'by no other header either',
  )
})
