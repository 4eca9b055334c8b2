import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { compileClientAddress, traceAddress } from '../../src/identity/client-address.ts'
import type { ClientAddressSource } from '../../src/policy/types.ts'

const PROXY = '10.0.0.1'
const TRUSTED = ['10.0.0.0/8', '2001:db8:ffff::/48']

const compiled = new Map<string, ReturnType<typeof compileClientAddress>>()

function addressOf(source: ClientAddressSource, peer: string | undefined, headers: IncomingHttpHeaders) {
  const key = JSON.stringify(source)
  if (!compiled.has(key)) compiled.set(key, compileClientAddress(TRUSTED, source))
  const { address, isPeerTrusted } = compiled.get(key)!(peer, headers)
  return { text: address.text, isPeerTrusted }
}

function behindProxy(line: string, peer = PROXY): string {
  return addressOf({ kind: 'x-forwarded-for' }, peer, { 'x-forwarded-for': line }).text
}

t.test('an untrusted peer is the client, whatever it forwards', async (t) => {
  const lies = {
    'x-forwarded-for': '9.9.9.9, 10.0.0.2',
    forwarded: 'for=9.9.9.9',
    'x-real-ip': '9.9.9.9',
    'cf-connecting-ip': '9.9.9.9',
  }
  const sources: readonly ClientAddressSource[] = [
    { kind: 'x-forwarded-for' },
    { kind: 'forwarded' },
    { kind: 'peer' },
    { kind: 'header', header: 'cf-connecting-ip' },
  ]
  for (const source of sources) {
    for (const peer of ['198.51.100.7', '::ffff:198.51.100.7']) {
      t.same(addressOf(source, peer, lies), { text: '198.51.100.7', isPeerTrusted: false }, source.kind)
    }
  }
})

t.test('nobody is trusted where no proxies are named', async (t) => {
  const clientAddress = compileClientAddress([], { kind: 'x-forwarded-for' })
  t.same(clientAddress('127.0.0.1', { 'x-forwarded-for': '9.9.9.9' }), {
    address: { text: '127.0.0.1', family: 'ipv4' },
    isPeerTrusted: false,
  })
})

t.test('behind a trusted peer the field is walked from the right', async (t) => {
  const cases: readonly (readonly [line: string, client: string])[] = [
    ['198.51.100.7', '198.51.100.7'],
    ['9.9.9.9, 198.51.100.7', '198.51.100.7'],
    ['9.9.9.9, 10.0.0.3, 198.51.100.7', '198.51.100.7'],
    ['9.9.9.9, 198.51.100.7, 10.0.0.3', '198.51.100.7'],
    ['198.51.100.7,10.0.0.4,10.0.0.3', '198.51.100.7'],
    ['198.51.100.7, 2001:db8:ffff::1, 10.0.0.3', '198.51.100.7'],
    ['10.0.0.9', '10.0.0.9'],
    ['10.0.0.9, 10.0.0.8', '10.0.0.9'],
    ['2001:db8::7', '2001:db8::7'],
    ['[2001:db8::7]:443', '2001:db8::7'],
    ['198.51.100.7:51234', '198.51.100.7'],
    ['::ffff:198.51.100.7', '198.51.100.7'],
  ]
  for (const [line, client] of cases) t.equal(behindProxy(line), client, line)
})

t.test('a hop that cannot be read ends the walk at the last good one', async (t) => {
  const cases: readonly (readonly [line: string, client: string])[] = [
    ['', PROXY],
    ['unknown', PROXY],
    ['_hidden', PROXY],
    ['9.9.9.9, unknown', PROXY],
    ['9.9.9.9, 010.0.0.2', PROXY],
    ['9.9.9.9, 10.2', PROXY],
    ['9.9.9.9, unknown, 10.0.0.3', '10.0.0.3'],
    ['9.9.9.9, <script>, 10.0.0.4, 10.0.0.3', '10.0.0.4'],
    ['9.9.9.9, fe80::1%eth0, 10.0.0.3', '10.0.0.3'],
  ]
  for (const [line, client] of cases) t.equal(behindProxy(line), client, line)
})

t.test('an empty element is none (RFC 9110 section 5.6.1.2)', async (t) => {
  for (const line of [
    '198.51.100.7, , 10.0.0.1',
    '198.51.100.7,,',
    ' ,198.51.100.7 ,\t, ',
    '9.9.9.9,198.51.100.7,,10.0.0.2,',
  ]) {
    t.equal(behindProxy(line), '198.51.100.7', line)
  }
  for (const line of [',', ' , ,', '']) t.equal(behindProxy(line), PROXY, line)
  const forwarded = (line: string) => addressOf({ kind: 'forwarded' }, PROXY, { forwarded: line }).text
  for (const line of ['for=198.51.100.7, , for=10.0.0.2', 'for=198.51.100.7,,', ',for=9.9.9.9, for=198.51.100.7 , ']) {
    t.equal(forwarded(line), '198.51.100.7', line)
  }
  t.equal(forwarded('for=198.51.100.7, proto=http'), PROXY, 'one without a node is not empty')
  t.equal(
    behindProxy(`198.51.100.7${','.repeat(1000)}${'10.0.0.2,'.repeat(31)}`),
    '198.51.100.7',
    'nor counts as a hop',
  )
  t.equal(behindProxy(`198.51.100.7${','.repeat(3000)}10.0.0.2`), '10.0.0.2', 'no more than 2 KiB are read')
})

t.test('a private address in 6to4 or NAT64 clothes is not a trusted hop', async (t) => {
  for (const dressed of ['2002:a00:1::5', '64:ff9b::10.0.0.1', '::10.0.0.1']) {
    t.not(behindProxy(`9.9.9.9, ${dressed}`), '9.9.9.9', dressed)
    t.not(behindProxy('9.9.9.9', dressed), '9.9.9.9', dressed)
  }
})

t.test('several lines are one list, in their order', async (t) => {
  const lines = ['9.9.9.9, 198.51.100.7', '10.0.0.3'] as unknown as string
  t.equal(behindProxy(lines), '198.51.100.7')
  t.equal(behindProxy('9.9.9.9, 198.51.100.7, 10.0.0.3'), '198.51.100.7')
})

t.test('no more than 32 hops are walked', async (t) => {
  const hops = (count: number) => Array.from({ length: count }, (_, i) => `10.1.0.${i}`)
  t.equal(behindProxy(['198.51.100.7', ...hops(31)].join(',')), '198.51.100.7')
  t.equal(behindProxy(['198.51.100.7', ...hops(32)].join(',')), '10.1.0.0')
  t.equal(behindProxy(['198.51.100.7', '10.2.0.1', ...hops(32)].join(',')), '10.1.0.0')
})

t.test('a field longer than 2 KiB is never cut into an address that nobody wrote', async (t) => {
  // Where too little of the field is read to reach the client, the last good hop stands for it.
  const good = ['198.51.100.7', '10.0.0.2', PROXY]
  // Each offset moves the cut by one character through `198.51.100.7` and what stands around it.
  for (let length = 2000; length <= 2060; length++) {
    const client = behindProxy(`9.9.9.9,198.51.100.7,${'10.0.0.2'.padStart(length)}`)
    t.ok(good.includes(client), `${client} with ${length}`)
  }
  for (let length = 2000; length <= 2060; length++) {
    const forwarded = `for=198.51.100.7;host="a,for=9.9.9.9",${'for=10.0.0.2'.padStart(length)}`
    const { text } = addressOf({ kind: 'forwarded' }, PROXY, { forwarded })
    t.ok(good.includes(text), `${text} with ${length}`)
  }
})

t.test('a field within 2 KiB is read whole', async (t) => {
  t.equal(behindProxy(`198.51.100.7,${'10.0.0.2'.padStart(2048 - '198.51.100.7,'.length)}`), '198.51.100.7')
  t.equal(behindProxy(`198.51.100.7,${'10.0.0.2'.padStart(2049 - '198.51.100.7,'.length)}`), '10.0.0.2')
})

t.test('Forwarded is walked like X-Forwarded-For', async (t) => {
  const cases: readonly (readonly [field: string, client: string])[] = [
    ['for=198.51.100.7', '198.51.100.7'],
    ['for="198.51.100.7:443";proto=https', '198.51.100.7'],
    ['for="[2001:db8::7]:443"', '2001:db8::7'],
    ['For="[2001:DB8::7]"', '2001:db8::7'],
    ['for=9.9.9.9, for=198.51.100.7, for=10.0.0.3;by=10.0.0.1', '198.51.100.7'],
    ['for=9.9.9.9, proto=http', PROXY],
    ['for=9.9.9.9, for=unknown', PROXY],
    ['for=9.9.9.9, for=_hidden, for=10.0.0.3', '10.0.0.3'],
    ['for=9.9.9.9;for=8.8.8.8', PROXY],
    ['for=198.51.100.7;host="a,for=9.9.9.9;x="', '198.51.100.7'],
    ['for="9.9.9.9, for=198.51.100.7', '198.51.100.7'],
  ]
  for (const [forwarded, client] of cases) {
    t.equal(addressOf({ kind: 'forwarded' }, PROXY, { forwarded }).text, client, forwarded)
  }
})

t.test('only the configured field is believed', async (t) => {
  const headers = { 'x-forwarded-for': '9.9.9.9', forwarded: 'for=8.8.8.8', 'cf-connecting-ip': '7.7.7.7' }
  t.equal(addressOf({ kind: 'x-forwarded-for' }, PROXY, headers).text, '9.9.9.9')
  t.equal(addressOf({ kind: 'forwarded' }, PROXY, headers).text, '8.8.8.8')
  t.equal(addressOf({ kind: 'header', header: 'cf-connecting-ip' }, PROXY, headers).text, '7.7.7.7')
  t.same(addressOf({ kind: 'peer' }, PROXY, headers), { text: PROXY, isPeerTrusted: true })
  t.equal(addressOf({ kind: 'forwarded' }, PROXY, { 'x-forwarded-for': '9.9.9.9' }).text, PROXY)
})

t.test('a header of one value counts only when it has one', async (t) => {
  const read = (value: string | string[]) =>
    addressOf({ kind: 'header', header: 'x-client-ip' }, PROXY, { 'x-client-ip': value }).text
  t.equal(read(' 198.51.100.7 '), '198.51.100.7')
  t.equal(read('[2001:db8::7]:443'), '2001:db8::7')
  t.equal(read('9.9.9.9, 198.51.100.7'), PROXY)
  t.equal(read('9.9.9.9,198.51.100.7'), PROXY)
  t.equal(read(['9.9.9.9', '198.51.100.7']), PROXY)
  t.equal(read('unknown'), PROXY)
  t.equal(read(''), PROXY)
  t.equal(read(`x${'9.9.9.9'.padStart(2048)}`), PROXY, 'not cut into an address')
})

t.test('a peer that has gone is nobody, and is not trusted', async (t) => {
  const headers = { 'x-forwarded-for': '9.9.9.9' }
  t.same(addressOf({ kind: 'x-forwarded-for' }, undefined, headers), { text: '0.0.0.0', isPeerTrusted: false })
})

t.test("a link-local peer is known by its address, not by its interface's name", async (t) => {
  const clientAddress = compileClientAddress(['fe80::/10'], { kind: 'x-forwarded-for' })
  t.same(clientAddress('fe80::1%eth0', { 'x-forwarded-for': '198.51.100.7' }), {
    address: { text: '198.51.100.7', family: 'ipv4' },
    isPeerTrusted: true,
  })
  t.equal(addressOf({ kind: 'x-forwarded-for' }, 'fe80::1%eth0', {}).text, 'fe80::1')
})

t.test('whatever a client puts before what the proxies append, it stays the same client', async () => {
  const element = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom('10.0.0.1', 'unknown', '', '_x', '"', 'for="', '\\', ',', '2001:db8:ffff::1', ';'),
    fc.string({ unit: 'binary' }),
  )
  const lies = fc.oneof(
    fc.array(element, { maxLength: 50 }).map((elements) => elements.join(',')),
    fc.nat(5000).map((length) => '1'.repeat(length)),
  )
  const appended = fc.array(fc.constantFrom('10.0.0.2', '10.9.9.9', '2001:db8:ffff::5'), { maxLength: 5 })
  fc.assert(
    fc.property(lies, appended, (before, proxies) => {
      assert.equal(behindProxy([before, '198.51.100.7', ...proxies].join(', ')), '198.51.100.7')
      const nodes = ['198.51.100.7', ...proxies].map((node) => `for="${node.includes(':') ? `[${node}]` : node}"`)
      const forwarded = [before, ...nodes].join(', ')
      assert.equal(addressOf({ kind: 'forwarded' }, PROXY, { forwarded }).text, '198.51.100.7')
    }),
    { seed: 30, numRuns: 1000 },
  )
})

t.test('what is remembered of a hop does not keep the field it stood in', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const clientAddress = compileClientAddress(TRUSTED, { kind: 'x-forwarded-for' })
  const padding = 'x'.repeat(16_000)
  // The address itself is remembered as well, by whoever makes pseudonyms.
  const addresses: unknown[] = []
  collect()
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < 5000; n++) {
    const line = Buffer.from(`${padding}, 198.151.${100 + (n % 100)}.${100 + Math.floor(n / 100)}`)
    // One flat string, as node's parser makes it.
    addresses.push(clientAddress(PROXY, { 'x-forwarded-for': line.toString('latin1') }).address)
  }
  collect()
  const grown = process.memoryUsage().heapUsed - before
  t.equal(addresses.length, 5000)
  t.ok(clientAddress(PROXY, {}))
  t.ok(grown < 10_000_000, `grew by ${grown} bytes`)
})

t.test('a trace names each hop and why the walk ended, and finds what the walk finds', async (t) => {
  const long = `9.9.9.9,${' '.repeat(2048)}`
  const cases: readonly (readonly [peer: string, field: string | undefined, hops: readonly string[], end: string])[] = [
    ['198.51.100.7', '9.9.9.9', ['198.51.100.7'], 'untrusted'],
    [PROXY, '9.9.9.9, 198.51.100.7, 10.0.0.3', [PROXY, '10.0.0.3', '198.51.100.7'], 'untrusted'],
    [PROXY, '9.9.9.9, unknown, 10.0.0.3', [PROXY, '10.0.0.3', 'unknown'], 'unreadable'],
    [PROXY, `${'9'.repeat(65)}`, [PROXY, '9'.repeat(65)], 'unreadable'],
    [PROXY, undefined, [PROXY], 'no_field'],
    [PROXY, '10.0.0.4, 10.0.0.3', [PROXY, '10.0.0.3', '10.0.0.4'], 'exhausted'],
    [PROXY, Array(32).fill('10.0.0.3').join(), [PROXY, ...Array(32).fill('10.0.0.3')], 'exhausted'],
    [PROXY, Array(33).fill('10.0.0.3').join(), [PROXY, ...Array(32).fill('10.0.0.3')], 'cut'],
    [PROXY, `${long}10.0.0.3`, [PROXY], 'cut'],
    ['nowhere', '9.9.9.9', ['nowhere'], 'unreadable'],
  ]
  for (const [peer, field, hops, end] of cases) {
    const headers = field === undefined ? {} : { 'x-forwarded-for': field }
    const trace = traceAddress(TRUSTED, { kind: 'x-forwarded-for' }, peer, headers)
    t.same([trace.hops.map(({ written }) => written), trace.end], [hops, end], field ?? 'no field')
    const found = addressOf({ kind: 'x-forwarded-for' }, peer, headers)
    t.same({ text: trace.address.text, isPeerTrusted: trace.isPeerTrusted }, found, field ?? 'no field')
  }
  t.equal(traceAddress(TRUSTED, { kind: 'peer' }, PROXY, { 'x-forwarded-for': '9.9.9.9' }).end, 'peer')
  const listed = traceAddress(TRUSTED, { kind: 'header', header: 'x-real-ip' }, PROXY, {
    'x-real-ip': '9.9.9.9, 8.8.8.8',
  })
  t.same([listed.address.text, listed.end], [PROXY, 'unreadable'])
  t.same(listed.hops[0], { written: PROXY, address: { text: PROXY, family: 'ipv4' }, isTrusted: true })
})
