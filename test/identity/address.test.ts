import assert from 'node:assert/strict'
import { isIPv4 } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { type Address, compileCidrs, networkOf, parseAddress } from '../../src/identity/address.ts'

const ipv4 = (text: string): Address => ({ text, family: 'ipv4' })
const ipv6 = (text: string): Address => ({ text, family: 'ipv6' })

const SPELLINGS: readonly (readonly [written: string, address: Address])[] = [
  ['198.51.100.7', ipv4('198.51.100.7')],
  ['  198.51.100.7\t', ipv4('198.51.100.7')],
  ['198.51.100.7:443', ipv4('198.51.100.7')],
  ['198.51.100.7:0', ipv4('198.51.100.7')],
  ['[198.51.100.7]:80', ipv4('198.51.100.7')],
  ['0.0.0.0', ipv4('0.0.0.0')],
  ['2001:db8::1', ipv6('2001:db8::1')],
  ['2001:DB8:0:0:0:0:0:1', ipv6('2001:db8::1')],
  ['2001:0db8::0001', ipv6('2001:db8::1')],
  ['[2001:db8::1]', ipv6('2001:db8::1')],
  ['[2001:db8::1]:8080', ipv6('2001:db8::1')],
  ['::1', ipv6('::1')],
  ['::', ipv6('::')],
  ['::ffff:198.51.100.7', ipv4('198.51.100.7')],
  ['::FFFF:c633:6407', ipv4('198.51.100.7')],
  ['0:0:0:0:0:ffff:c633:6407', ipv4('198.51.100.7')],
  ['[::ffff:198.51.100.7]:443', ipv4('198.51.100.7')],
  ['::ffff:10.0.0.1', ipv4('10.0.0.1')],
  ['2002:c633:6407::1', ipv4('198.51.100.7')],
  ['2002:c633:6407:ffff:1:2:3:4', ipv4('198.51.100.7')],
  ['64:ff9b::198.51.100.7', ipv4('198.51.100.7')],
  ['64:ff9b::c633:6407', ipv4('198.51.100.7')],
  // The deprecated IPv4-compatible form, and NAT64 prefixes of one's own, are IPv6 to everybody.
  ['::198.51.100.7', ipv6('::c633:6407')],
  ['::c633:6407', ipv6('::c633:6407')],
  ['::10.0.0.1', ipv6('::a00:1')],
  ['64:ff9b:1::198.51.100.7', ipv6('64:ff9b:1::c633:6407')],
]

for (const [written, address] of SPELLINGS) {
  t.test(`${JSON.stringify(written)} is ${address.family} ${address.text}`, async (t) => {
    t.same(parseAddress(written), address)
  })
}

const NOT_ADDRESSES = [
  '',
  ' ',
  'unknown',
  '_hidden',
  '_SEVKISEK:80',
  'localhost',
  'example.com',
  '10.1',
  '10',
  '167772161',
  '010.0.0.1',
  '10.0.0.01',
  '0x0a.0.0.1',
  '0xa000001',
  '10.0.0.1.',
  '.10.0.0.1',
  '10.0.0.256',
  '10.0.0.1/8',
  '10.0.0.-1',
  '10.0.0.1:port',
  '10.0.0.1:123456',
  '10.0.0.1:',
  '10.0.0.1, 10.0.0.2',
  '\u0661\u0660.0.0.1',
  '\uff11\uff10.0.0.1',
  '10\u3002 0.0.1',
  '10.0.0.1\0',
  '10.0.0.1\n10.0.0.2',
  'fe80::1%eth0',
  '[fe80::1%25eth0]:80',
  '2001:db8::1::2',
  '2001:db8',
  '2001:db8::12345',
  ':::',
  '[2001:db8::1',
  '2001:db8::1]',
  '[2001:db8::1]80',
  '[]',
  '[]:80',
  '"198.51.100.7"',
  '::ffff:010.0.0.1',
  '::ffff:10.1',
]

for (const written of NOT_ADDRESSES) {
  t.test(`${JSON.stringify(written)} is no address`, async (t) => {
    t.equal(parseAddress(written), null)
  })
}

t.test('no 6to4 or NAT64 address passes for a private, loopback or link-local one', async (t) => {
  for (const written of [
    '2002:a00:1::5',
    '2002:7f00:1::',
    '2002:c0a8:101::1',
    '2002:a9fe:a9fe::1',
    '64:ff9b::10.0.0.1',
    '64:ff9b::127.0.0.1',
    '64:ff9b::172.16.0.1',
  ]) {
    t.match(parseAddress(written), { family: 'ipv6' }, written)
  }
})

t.test('reading an address again changes nothing, and no text makes it throw', async () => {
  const written = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.string({ unit: 'binary' }), fc.webAuthority())
  fc.assert(
    fc.property(written, (text) => {
      const address = parseAddress(text)
      if (address === null) return
      assert.deepEqual(parseAddress(address.text), address)
      if (address.family === 'ipv4') assert.ok(isIPv4(address.text))
    }),
    { seed: 20, numRuns: 2000 },
  )
})

t.test('the network of an address has its host bits cleared', async (t) => {
  const cases: readonly (readonly [Address, ipv4: number, ipv6: number, network: string])[] = [
    [ipv4('198.51.100.7'), 32, 64, '198.51.100.7/32'],
    [ipv4('198.51.100.7'), 24, 64, '198.51.100.0/24'],
    [ipv4('198.51.100.255'), 25, 64, '198.51.100.128/25'],
    [ipv4('198.51.100.7'), 1, 64, '128.0.0.0/1'],
    [ipv4('198.51.103.7'), 22, 64, '198.51.100.0/22'],
    [ipv6('2001:db8:1:2ff:3::4'), 32, 32, '2001:db8::/32'],
    [ipv6('2001:db8:1:2ff:3::4'), 32, 48, '2001:db8:1::/48'],
    [ipv6('2001:db8:1:2ff:3::4'), 32, 56, '2001:db8:1:200::/56'],
    [ipv6('2001:db8:1:2ff:3::4'), 32, 64, '2001:db8:1:2ff::/64'],
    [ipv6('2001:db8:1:2ff:8003::4'), 32, 65, '2001:db8:1:2ff:8000::/65'],
    [ipv6('2001:db8:1:2ff:7003::4'), 32, 65, '2001:db8:1:2ff::/65'],
    [ipv6('2001:db8:1:2ff:3::4'), 32, 128, '2001:db8:1:2ff:3::4/128'],
    [ipv6('ffff::1'), 32, 1, '8000::/1'],
  ]
  for (const [address, ipv4, ipv6, network] of cases) t.equal(networkOf(address, { ipv4, ipv6 }), network)
})

t.test('two addresses share a network exactly when their first bits are equal', async () => {
  const word = fc.integer({ min: 0, max: 0xffffffff })
  const bits = (n: number, prefix: number) => n.toString(2).padStart(32, '0').slice(0, prefix)
  const dotted = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.')
  fc.assert(
    fc.property(word, fc.integer({ min: 0, max: 31 }), fc.integer({ min: 1, max: 32 }), (n, flipped, prefix) => {
      const other = (n ^ (1 << flipped)) >>> 0
      const networks = [n, other].map((each) => networkOf(ipv4(dotted(each)), { ipv4: prefix, ipv6: 64 }))
      assert.equal(networks[0] === networks[1], bits(n, prefix) === bits(other, prefix))
    }),
    { seed: 21 },
  )
})

t.test('CIDRs hold the addresses within them and no others', async (t) => {
  const matches = compileCidrs(['10.0.0.0/8', '192.0.2.7/32', '2001:db8::/32', 'fe80::/10'])
  for (const inside of ['10.0.0.0', '10.255.255.255', '192.0.2.7', '2001:db8::', '2001:db8:ffff::1', 'febf::1']) {
    t.ok(matches(parseAddress(inside)!), inside)
  }
  for (const outside of ['11.0.0.0', '9.255.255.255', '192.0.2.6', '2001:db9::', 'fec0::', '::1', '::a00:1']) {
    t.notOk(matches(parseAddress(outside)!), outside)
  }
})

t.test('an IPv4 peer on a dual-stack socket is in the IPv4 network that names it', async (t) => {
  const matches = compileCidrs(['10.0.0.0/8'])
  t.ok(matches(parseAddress('::ffff:10.1.2.3')!))
  t.notOk(matches(parseAddress('::ffff:11.1.2.3')!))
})

t.test('an octal or short spelling never gets into a network', async (t) => {
  const matches = compileCidrs(['8.0.0.0/8', '10.0.0.0/8', '0.0.0.0/0'])
  for (const written of ['010.0.0.1', '10.1', '0x0a.0.0.1']) {
    const address = parseAddress(written)
    t.equal(address !== null && matches(address), false, written)
    // Even if one got past the reader, the matcher itself would not take it for another address.
    t.notOk(matches(ipv4(written)), written)
  }
})

t.test('no CIDRs hold nothing, and /0 holds its whole family', async (t) => {
  t.notOk(compileCidrs([])(ipv4('127.0.0.1')))
  t.ok(compileCidrs(['0.0.0.0/0'])(ipv4('255.1.2.3')))
  t.notOk(compileCidrs(['0.0.0.0/0'])(ipv6('::1')))
  t.ok(compileCidrs(['::/0'])(ipv6('ffff::')))
})
