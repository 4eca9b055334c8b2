import t from 'tap'
import type { NetworkParent } from '../../src/policy/types.ts'
import { manualClock, startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'

const BURST = 5
/** Newcomers of a network pass twice a device's burst, at first. */
const NEWCOMERS = 2 * BURST

/** How many pass of requests at one instant, each from another address. */
async function passed(ipv6Parents: readonly NetworkParent[], addresses: readonly string[]): Promise<number> {
  const upstream = await startUpstream(t)
  const test = await startTestApp(
    t,
    {
      upstream: { url: upstream.url },
      identity: { trustedProxies: ['127.0.0.0/8'], network: { ipv4: 32, ipv6: 64, ipv6Parents } },
      limits: [limitOf({ burst: BURST })],
    },
    { clock: manualClock() },
  )
  let count = 0
  for (const address of addresses) {
    const { status } = await ask(t, test.url, get('/', `X-Forwarded-For: ${address}`, `User-Agent: ${address}`))
    if (status === 200) count++
  }
  return count
}

const USUAL = [
  { prefix: 56, factor: 1 },
  { prefix: 48, factor: 4 },
]
const of = (count: number, address: (n: string) => string) =>
  Array.from({ length: count }, (_, i) => address(i.toString(16)))

t.test('rotation over the /64s of one /48 passes four times what one network does', async (t) => {
  const addresses = of(100, (n) => `2001:db8:1:${n}00::1`)
  t.equal(await passed(USUAL, addresses), 4 * NEWCOMERS)
})

t.test('rotation over the /48s of one /32 is held where the policy names that parent', async (t) => {
  const addresses = of(100, (n) => `2001:db8:${n}::1`)
  t.equal(await passed([...USUAL, { prefix: 32, factor: 6 }], addresses), 6 * NEWCOMERS)
  t.equal(await passed(USUAL, addresses), 100, 'and not by default: a /32 is a whole provider')
})
