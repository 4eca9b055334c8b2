import t from 'tap'
import { parseAddress } from '../../src/identity/address.ts'
import { createKeyring } from '../../src/identity/keyring.ts'
import { compileNetwork } from '../../src/identity/network.ts'
import type { IdentityPolicy } from '../../src/policy/types.ts'
import { policyOf } from '../fixtures/policy.ts'

const PARENTS = [
  { prefix: 56, factor: 1 },
  { prefix: 48, factor: 4 },
]

function networks(changes: Partial<IdentityPolicy> = {}) {
  const policy = { ...policyOf().identity, network: { ipv4: 32, ipv6: 64, ipv6Parents: PARENTS }, ...changes }
  const network = compileNetwork(policy, createKeyring(['a secret of at least thirty-two bytes']))
  return (address: string) => network(parseAddress(address)!)
}

t.test('an IPv6 network lies in its parents, nearest first, and an IPv4 one in none', async (t) => {
  const of = networks()
  const network = of('2001:db8:0:101::1')
  t.same(
    network.parents.map(({ factor }) => factor),
    [1, 4],
  )
  for (const { id } of network.parents) t.match(id, /^[\w-]{22}$/)
  const neighbour = of('2001:db8:0:1ff::1')
  t.not(neighbour.id, network.id)
  t.same(neighbour.parents, network.parents, 'the same /56')
  const cousin = of('2001:db8:0:200::1')
  t.not(cousin.parents[0]!.id, network.parents[0]!.id)
  t.equal(cousin.parents[1]!.id, network.parents[1]!.id, 'the same /48')
  t.not(of('2001:db8:1::1').parents[1]!.id, network.parents[1]!.id)
  t.same(of('198.51.100.7').parents, [])
})

t.test('all of one outermost parent bear its tag', async (t) => {
  const of = networks()
  const network = of('2001:db8::1')
  t.equal(network.tag, network.parents[1]!.id.slice(0, 8))
  t.equal(of('2001:db8:0:ffff::1').tag, network.tag)
  t.not(of('2001:db8:1::1').tag, network.tag)
  t.equal(of('198.51.100.7').tag, of('198.51.100.7').id.slice(0, 8))
  const alone = networks({ network: { ipv4: 32, ipv6: 64, ipv6Parents: [] } })('2001:db8::1')
  t.equal(alone.tag, alone.id.slice(0, 8))
  t.equal(alone.id, network.id)
})

t.test('of the networks that are known the one with the longest prefix holds', async (t) => {
  const parents = [{ prefix: 40, factor: 9 }]
  const of = networks({
    networks: [
      { cidr: '203.0.113.0/24', maxDevices: 1000, ipv6Parents: null, note: null },
      { cidr: '203.0.113.7/32', maxDevices: 2000, ipv6Parents: null, note: null },
      { cidr: '0.0.0.0/0', maxDevices: 5, ipv6Parents: null, note: null },
      { cidr: '2001:db8::/32', maxDevices: 3, ipv6Parents: null, note: null },
      { cidr: '2001:db8:5::/48', maxDevices: null, ipv6Parents: parents, note: null },
    ],
  })
  t.equal(of('203.0.113.7').maxDevices, 2000)
  t.equal(of('203.0.113.8').maxDevices, 1000)
  t.equal(of('::ffff:203.0.113.7').maxDevices, 2000)
  t.equal(of('198.51.100.7').maxDevices, 5)
  t.match(of('2001:db8:4::1'), { maxDevices: 3, parents: [{ factor: 1 }, { factor: 4 }] })
  const known = of('2001:db8:5::1')
  t.equal(known.maxDevices, 512, 'an entry that says nothing of it leaves it as it is')
  t.match(known, { parents: { length: 1, 0: { factor: 9 } } })
  t.equal(of('2001:db9::1').maxDevices, 512)
})
