import { generateKeyPairSync } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { importJwks } from '../../src/identity/jwk-keys.ts'
import { createJwks } from '../../src/identity/jwks.ts'
import { createLog } from '../../src/log.ts'
import { eventually, manualClock } from '../fixtures/app.ts'

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = (kid: string) => ({ ...publicKey.export({ format: 'jwk' }), kid })

/** An issuer whose keys, or failures, the test decides. */
async function startIssuer(t: Test) {
  const issuer = {
    asked: 0,
    answer: (response: ServerResponse) => void response.end(JSON.stringify({ keys: [key('1')] })),
  }
  const server = createServer((_, response) => {
    issuer.asked++
    issuer.answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const clock = manualClock()
  const lines: string[] = []
  const jwks = createJwks({
    clock,
    log: createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } }),
  })
  t.teardown(() => jwks.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const has = (kid: string) => jwks.keys(url)?.find(kid, 'ES256') != null
  return { issuer, clock, jwks, url, lines, has }
}

t.test('keys are there once they have come, and asking never waits for them', async (t) => {
  const { issuer, jwks, url, has } = await startIssuer(t)
  t.equal(jwks.keys(url), null)
  await eventually('the keys', () => has('1'))
  t.equal(issuer.asked, 1)
  t.notOk(has('2'))
})

t.test('a start waits for them as long as told, and no longer', async (t) => {
  const { issuer, jwks, url, has } = await startIssuer(t)
  await jwks.open([url], 5000)
  t.ok(has('1'))
  t.equal(issuer.asked, 1)
  await jwks.open([], 5000)
  const hanging = await startIssuer(t)
  hanging.issuer.answer = () => {}
  const start = performance.now()
  await hanging.jwks.open([hanging.url], 50)
  t.ok(performance.now() - start < 4000)
  t.equal(hanging.jwks.keys(hanging.url), null)
})

t.test('stale keys are used while new ones are fetched, and unchanged ones stay the same', async (t) => {
  const { issuer, clock, jwks, url, has } = await startIssuer(t)
  await jwks.open([url], 5000)
  const first = jwks.keys(url)
  clock.advance(599_000)
  t.equal(jwks.keys(url), first)
  t.equal(issuer.asked, 1)
  clock.advance(2000)
  t.equal(jwks.keys(url), first)
  await eventually('a second look', () => issuer.asked === 2)
  await jwks.open([url], 5000)
  t.equal(jwks.keys(url), first, 'what was verified by them stays verified')
  issuer.answer = (response) => void response.end(JSON.stringify({ keys: [key('2')] }))
  clock.advance(601_000)
  t.ok(has('1'))
  await eventually('the new key', () => has('2'))
  t.notOk(has('1'))
})

t.test('a key that is not there is asked for at once, but not more often than twice a minute', async (t) => {
  const { issuer, clock, jwks, url, has } = await startIssuer(t)
  await jwks.open([url], 5000)
  for (let n = 0; n < 100; n++) jwks.miss(url)
  t.equal(issuer.asked, 1)
  issuer.answer = (response) => void response.end(JSON.stringify({ keys: [key('1'), key('2')] }))
  clock.advance(30_000)
  for (let n = 0; n < 100; n++) jwks.miss(url)
  await eventually('the new key', () => has('2'))
  t.equal(issuer.asked, 2)
})

t.test('while an issuer is away its last keys hold, told once each way', async (t) => {
  const { issuer, clock, jwks, url, lines, has } = await startIssuer(t)
  await jwks.open([url], 5000)
  for (const answer of [
    (response: ServerResponse) => void response.writeHead(500).end(),
    (response: ServerResponse) => void response.end('no json'),
    (response: ServerResponse) => void response.end('{"keys": 1}'),
    (response: ServerResponse) => void response.destroy(),
  ]) {
    issuer.answer = answer
    const { asked } = issuer
    clock.advance(601_000)
    t.ok(has('1'))
    await eventually('a look', () => issuer.asked > asked)
    await jwks.open([url], 5000)
    t.ok(has('1'))
  }
  await eventually('the line', () => lines.length === 1)
  t.match(lines[0], /JWKS refresh failed/)
  issuer.answer = (response) => void response.end(JSON.stringify({ keys: [key('3')] }))
  clock.advance(30_000)
  await eventually('the new key', () => has('3'))
  t.equal(lines.length, 2)
})

t.test('a set that is too large is not read to its end, and the last keys hold', async (t) => {
  const { issuer, clock, jwks, url, lines, has } = await startIssuer(t)
  await jwks.open([url], 5000)
  let sent = 0
  const flood = (response: ServerResponse): undefined => {
    response.write('{"keys": [')
    const more = () => {
      while (sent < 64 * 1024 * 1024) {
        sent += 65_536
        if (!response.write(' '.repeat(65_536))) return void response.once('drain', more)
      }
      response.end(']}')
    }
    more()
  }
  const many = (response: ServerResponse) =>
    void response.end(JSON.stringify({ keys: Array.from({ length: 201 }, (_, n) => key(String(n))) }))
  for (const [answer, why] of [
    [flood, /longer than 1048576 bytes/],
    [many, /201 keys, more than 200/],
  ] as const) {
    lines.length = 0
    issuer.answer = (response) => void response.end(JSON.stringify({ keys: [key('1')] }))
    clock.advance(601_000)
    await jwks.open([url], 5000)
    issuer.answer = answer
    clock.advance(601_000)
    await jwks.open([url], 5000)
    t.ok(has('1'))
    t.ok(
      lines.some((line) => why.test(line) && line.includes('identity.jwt')),
      String(why),
    )
  }
  t.ok(sent < 16 * 1024 * 1024, `${sent} bytes were taken`)
})

t.test('RSA keys with which anyone can sign, or that are too short, are no keys', async (t) => {
  const rsa = (bits: number, publicExponent: number) => {
    const pair = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent })
    return { ...pair.publicKey.export({ format: 'jwk' }), kid: 'k' }
  }
  const sound = rsa(2048, 65_537)
  t.ok(importJwks([sound]).find('k', 'RS256'))
  t.ok(importJwks([rsa(2048, 3)]).find('k', 'RS256'))
  const exponent = (value: number) => ({ ...sound, e: Buffer.from([value]).toString('base64url') })
  for (const weak of [rsa(1024, 65_537), exponent(1), exponent(2), exponent(0)]) {
    t.equal(importJwks([weak]).find('k', 'RS256'), null, `e = ${weak.e}`)
  }
})
