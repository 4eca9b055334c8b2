import t from 'tap'
import { parseAddress } from '../../src/identity/address.ts'
import { createLog } from '../../src/log.ts'
import { createTrustedProxyCheck } from '../../src/proxy/trusted-proxy-check.ts'
import { manualClock, startTestApp } from '../fixtures/app.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'

function start() {
  const clock = manualClock()
  const lines: { level: number; msg: string; of_one_address?: number }[] = []
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } })
  const watch = createTrustedProxyCheck({ clock, log })
  const note = (address: string, isForwarded = false) =>
    watch.note({ address: parseAddress(address)!, isPeerTrusted: false }, isForwarded)
  return { clock, lines, watch, note }
}

t.test('a private peer that forwards while nobody is trusted is an error, once a minute', async (t) => {
  const { clock, lines, watch, note } = start()
  note('10.0.0.1')
  note('203.0.113.7', true)
  t.equal(lines.length, 0)
  for (let n = 0; n < 100; n++) note('10.0.0.1', true)
  t.equal(lines.length, 1)
  t.match(lines[0], { level: 50, msg: /identity\.trusted_proxies/, peer: '10.0.0.1' })
  clock.advance(59_999)
  note('fd00::1', true)
  t.equal(lines.length, 1)
  clock.advance(1)
  note('fd00::1', true)
  t.equal(lines.length, 2)
  watch.use(1)
  clock.advance(60_000)
  note('10.0.0.1', true)
  t.equal(lines.length, 2, 'where somebody is trusted, others may forward what they like')
})

t.test('most requests of one address are a warning each ten minutes', async (t) => {
  const { clock, lines, note } = start()
  const round = (requests: number, isTheOne: (n: number) => boolean) => {
    for (let n = 0; n < requests; n++) note(isTheOne(n) ? '203.0.113.7' : `198.51.${n >> 8}.${n & 255}`)
    clock.advance(600_000)
    for (let n = 0; n < 256; n++) note(isTheOne(n) ? '203.0.113.7' : `198.51.100.${n}`)
  }
  round(2000, (n) => n % 3 === 0)
  t.equal(lines.length, 0, 'a third is not most')
  round(2000, (n) => n % 10 !== 0)
  t.equal(lines.length, 1)
  t.match(lines[0], { level: 40, msg: /one address/ })
  t.ok(lines[0]!.of_one_address! <= 2256 * 0.9 + 1 && lines[0]!.of_one_address! > 1500)
  round(500, () => true)
  t.equal(lines.length, 1, 'of few nothing follows')
  t.notMatch(JSON.stringify(lines), '203.0.113')
})

t.test('the proxy tells of it, and only of it', async (t) => {
  const upstream = await startUpstream(t)
  const { url, logged } = await startTestApp(t, { upstream: { url: upstream.url } })
  await ask(t, url, get('/'))
  t.equal(logged().filter(({ level }) => level === 50).length, 0)
  for (let n = 0; n < 3; n++) await ask(t, url, get('/', 'X-Forwarded-For: 203.0.113.7'))
  t.equal(logged().filter(({ level }) => level === 50).length, 1)
})
