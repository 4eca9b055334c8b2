import t, { type Test } from 'tap'
import { readCaching } from '../../src/http/caching.ts'
import { type Fields, fieldsOf } from '../../src/http/fields.ts'
import { parseAddress } from '../../src/identity/address.ts'
import { homeOf } from '../../src/identity/device-cookie.ts'
import { createDeviceMarks } from '../../src/identity/device-mark.ts'
import { compileIdentify } from '../../src/identity/identify.ts'
import { createKeyring } from '../../src/identity/keyring.ts'
import { addMark, compileDeviceAnswer } from '../../src/proxy/device-cookie-answer.ts'
import { type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { EVERYTHING, limitOf, policyOf } from '../fixtures/policy.ts'
import { ask, get, post, type RawAnswer } from '../fixtures/raw-client.ts'
import { ok, startUpstream } from '../fixtures/upstream.ts'

const MINUTE = 60_000
const DAY = 1440 * MINUTE
const NOW = Date.UTC(2026, 10, 22)
const SECRET = 'a secret of at least thirty-two bytes'
const COOKIE = { enabled: true, maxAge: 7 * DAY, sameSite: 'lax', tokenHeader: 'device-token' } as const
const ONCE = limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 1 })
const NAME = 'sluice-24bf8a'

/** The whole proxy, whose upstream answers with the fields given in X-Answer, with a wall clock that the test moves. */
async function start(t: Test, changes: PolicyChanges = {}) {
  const wall = { ms: NOW }
  const upstream = await startUpstream(t, async (turn) => {
    await turn.body()
    turn.send(ok('ok', ...(turn.request.one('x-answer')?.split('|') ?? [])))
  })
  const identity = { secrets: [SECRET] as const, deviceCookie: COOKIE, ...changes.identity }
  const test = await startTestApp(
    t,
    { ...changes, identity, upstream: { url: upstream.url } },
    { wallMs: () => wall.ms },
  )
  return { upstream, wall, ...test }
}

/** The mark that an answer sets, and null where it sets none. */
function given(answer: RawAnswer, name = NAME): string | null {
  const set = answer.all('set-cookie').filter((cookie) => cookie.includes('sluice-'))
  if (set.length === 0) return null
  const [, value] = new RegExp(`^${name}=([\\w-]{52}); `).exec(set[0]!) ?? []
  if (set.length > 1 || value === undefined) throw new Error(`not one mark of ours: ${set.join(' | ')}`)
  return value
}

t.test('a client without a mark gets one, and with it none', async (t) => {
  const { url, upstream } = await start(t)
  const first = await ask(t, url, get('/'))
  const mark = given(first)!
  t.equal(first.one('set-cookie'), `${NAME}=${mark}; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax`)
  t.equal(first.one('cache-control'), 'private')
  const second = await ask(t, url, get('/', `Cookie: ${NAME}=${mark}`))
  t.equal(second.one('set-cookie'), undefined)
  t.equal(second.one('cache-control'), undefined, 'an answer without a mark stays as it was')
  t.equal(upstream.seen[1]!.one('cookie'), undefined)
  t.not(given(await ask(t, url, get('/'))), mark, 'each gets its own')
})

t.test('the 429 and the other answers of our own bear it, those to nobody in particular do not', async (t) => {
  const entry = { cidr: [], until: null, reason: null }
  const at = (path: string) => ({ ...EVERYTHING, paths: [path] })
  const { url } = await start(t, {
    limits: [ONCE],
    deny: [{ ...entry, name: 'no', match: at('/no'), status: 403 }],
    exempt: [{ ...entry, name: 'free', match: at('/free') }],
  })
  t.ok(given(await ask(t, url, get('/'))))
  const limited = await ask(t, url, get('/'))
  t.equal(limited.status, 429)
  t.ok(given(limited))
  t.equal(limited.one('cache-control'), 'no-store')
  for (const path of ['/no', '/free', '/\\']) t.equal((await ask(t, url, get(path))).one('set-cookie'), undefined, path)
})

t.test('in shadow devices get their marks', async (t) => {
  const { url } = await start(t, { mode: 'shadow', limits: [ONCE] })
  for (let n = 0; n < 3; n++) t.ok(given(await ask(t, url, get('/'))))
})

t.test('no mark stands where a shared cache may keep it', async (t) => {
  const { url } = await start(t)
  const marked = async (request: string) => given(await ask(t, url, request)) !== null
  for (const control of [
    'public',
    'max-age=60',
    's-maxage=60',
    'no-cache',
    'max-age=0',
    'must-revalidate',
    'private="set-cookie"',
    'x-private',
    'public, private-ish',
    'foo="private", max-age=60',
    'foo="x, private", max-age=60',
    'foo="no-store, max-age=60',
  ]) {
    t.notOk(await marked(get('/', `X-Answer: Cache-Control: ${control}`)), control)
  }
  for (const control of ['private', 'no-store', 'max-age=60, private', 'PRIVATE', 'no-store, no-cache']) {
    t.ok(await marked(get('/', `X-Answer: Cache-Control: ${control}`)), control)
  }
  t.ok(await marked(get('/', 'X-Answer: Cache-Control: no-cache|Cache-Control: private')))
  for (const field of ['CDN-Cache-Control', 'Cloudflare-CDN-Cache-Control', 'Surrogate-Control', 'X-Accel-Expires']) {
    t.notOk(await marked(get('/', `X-Answer: ${field}: 60`)), field)
    t.notOk(await marked(get('/', `X-Answer: ${field}: 60|Cache-Control: private`)), field)
  }
  t.ok(await marked(get('/', 'X-Answer: CDN-Cache-Control: no-store|Cache-Control: private')), 'kept by nobody')
  t.ok(await marked(get('/', 'X-Answer: Surrogate-Control: no-store')), 'nor here')
  t.ok(await marked(post('/', 'x', 'X-Answer: Cache-Control: no-cache')))
  t.notOk(await marked(post('/', 'x', 'X-Answer: Cache-Control: public, max-age=60')))
  const posted = await ask(t, url, post('/', 'x'))
  t.ok(given(posted))
  t.equal(posted.one('cache-control'), undefined)
})

t.test('a browser whose first page says nothing of caching gets its mark with that', async (t) => {
  const { url } = await start(t)
  const page = ['Content-Type: text/html; charset=utf-8', 'ETag: "1"', 'Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT']
  const answer = await ask(t, url, get('/', `X-Answer: ${page.join('|')}`, 'Accept: text/html'))
  t.ok(given(answer))
  t.equal(answer.one('cache-control'), 'private')
  t.ok(answer.one('ratelimit'))
})

t.test('a file that says nothing of caching stays as it is, for CDNs keep it', async (t) => {
  const { url } = await start(t)
  for (const file of [
    'Content-Type: text/css|ETag: "1"|Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT',
    'Content-Type: image/png|Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT',
    'Content-Type: application/javascript|ETag: W/"1"',
    'ETag: "1"',
  ]) {
    const answer = await ask(t, url, get('/a', `X-Answer: ${file}`))
    const ours = file.includes('Content-Type') ? ['ratelimit', 'ratelimit-policy'] : []
    for (const name of ['set-cookie', 'cache-control', ...ours]) {
      t.equal(answer.one(name), undefined, `${file}: ${name}`)
    }
    const asked = await ask(t, url, get('/a', `X-Answer: ${file}`, 'Device-Token: ?1'))
    t.ok(asked.one('device-token'), 'who asks by name is told')
    t.equal(asked.one('cache-control'), 'private')
    t.ok(given(await ask(t, url, get('/a', `X-Answer: ${file}|Set-Cookie: a=b`))), 'a personal one is no file')
    t.ok(given(await ask(t, url, get('/a', `X-Answer: ${file}`, 'Authorization: Bearer x'))), 'nor one to credentials')
  }
})

t.test('an answer that a cache writes into another bears no mark', async (t) => {
  const field = ['Set-Cookie', 'x'] as const
  const nothing = fieldsOf([])
  const to = (method: string, status: number, answer: Fields) =>
    addMark(answer, field, { method, status, isAuthorized: false, caching: readCaching(answer) })
  t.same(to('GET', 304, fieldsOf(['ETag', '"1"'])), fieldsOf(['ETag', '"1"']))
  t.same(to('GET', 101, nothing), nothing)
  t.same(to('QUERY', 200, nothing), fieldsOf(['Cache-Control', 'private', 'Set-Cookie', 'x']))
})

t.test('an app without cookies asks for the field, and sends it back in the field', async (t) => {
  const { url, upstream } = await start(t)
  const first = await ask(t, url, get('/', 'Device-Token: ?1'))
  t.equal(first.one('set-cookie'), undefined)
  const mark = first.one('device-token')!
  t.match(mark, /^[\w-]{52}$/)
  const second = await ask(t, url, get('/', `Device-Token: ${mark}`))
  t.equal(second.one('device-token'), undefined)
  t.equal(second.one('set-cookie'), undefined)
  for (const request of upstream.seen) t.equal(request.one('device-token'), undefined)
})

t.test('of the Cookie field only what is ours is taken out', async (t) => {
  const { url, upstream } = await start(t)
  await ask(t, url, get('/', `Cookie: a="1";  ${NAME}=x; b=2;c`, 'X-Other: sluice'))
  await ask(t, url, get('/', `Cookie: __Host-${NAME}=x`, 'cOOkie: a=1', 'Cookie: sluice-000000=theirs'))
  t.same(upstream.seen[0]!.all('cookie'), ['a="1"; b=2;c'])
  t.same(upstream.seen[1]!.all('cookie'), ['a=1', 'sluice-000000=theirs'])
})

t.test('over https, as a trusted peer says, the cookie is bound to its host', async (t) => {
  const proxied = await start(t, { identity: { trustedProxies: ['127.0.0.1/32'] } })
  const https = 'X-Forwarded-Proto: https'
  const first = await ask(t, proxied.url, get('/', https))
  const mark = given(first, `__Host-${NAME}`)!
  t.match(first.one('set-cookie'), /; Path=\/; HttpOnly; SameSite=Lax; Secure$/)
  t.equal(given(await ask(t, proxied.url, get('/', https, `Cookie: __Host-${NAME}=${mark}`)), `__Host-${NAME}`), null)
  t.ok(
    given(await ask(t, proxied.url, get('/', https, `Cookie: ${NAME}=${mark}`)), `__Host-${NAME}`),
    'what a neighbouring host could plant does not count',
  )
  t.ok(given(await ask(t, proxied.url, get('/', 'X-Forwarded-Proto: https, http'))), 'the nearest has the last word')
  const direct = await start(t)
  t.ok(given(await ask(t, direct.url, get('/', https))), 'others are not believed')
})

t.test('a mark is signed anew when it is a day old, and stays the same device', async (t) => {
  const { url, wall } = await start(t)
  const marks = createDeviceMarks([SECRET], COOKIE.maxAge)
  const mark = given(await ask(t, url, get('/')))!
  const request = get('/', `Cookie: ${NAME}=${mark}`)
  wall.ms += DAY - 1
  t.equal(given(await ask(t, url, request)), null)
  wall.ms += 1
  const next = given(await ask(t, url, request))!
  const [before, after] = [marks.read(mark, wall.ms), marks.read(next, wall.ms)]
  t.same(after, { ...(before as object), signedMs: NOW + DAY })
  t.match((await ask(t, url, get('/', `Device-Token: ${mark}`))).one('device-token'), /^[\w-]{52}$/)
})

t.test('a mark that has lapsed or is of another secret is one that is not there', async (t) => {
  const { url, wall, metric } = await start(t)
  const mark = given(await ask(t, url, get('/')))!
  const strange = createDeviceMarks(['another secret of thirty-two bytes'], COOKIE.maxAge)
  const forged = strange.sign({ device: 'AAECAwQFBgcICQoL', issuedMs: NOW, signedMs: NOW, grade: 3, home: 1 })
  for (const value of [forged, forged.slice(1), '', 'x'.repeat(10_000)]) {
    t.ok(given(await ask(t, url, get('/', `Cookie: ${NAME}=${value}`))), value.slice(0, 60))
  }
  wall.ms += 7 * DAY
  t.ok(given(await ask(t, url, get('/', `Cookie: ${NAME}=${mark}`))))
  t.ok((await ask(t, url, get('/', `Device-Token: ${mark}`, 'Device-Token: ?1'))).status === 200)
  t.equal(await metric('sluice_bad_device_marks_total', { reason: 'expired' }), 1)
  t.equal(await metric('sluice_bad_device_marks_total', { reason: 'malformed' }), 4)
  t.equal(await metric('sluice_bad_device_marks_total', { reason: 'forged' }), 1)
})

t.test('while a secret is replaced cookies of both names are read, and the new one is given', async (t) => {
  const old = await start(t)
  const mark = given(await ask(t, old.url, get('/')))!
  const both = await start(t, { identity: { secrets: ['a new secret of thirty-two bytes!', SECRET] } })
  t.equal((await ask(t, both.url, get('/', `Cookie: ${NAME}=${mark}`))).one('set-cookie'), undefined)
  t.same(both.upstream.seen[0]!.all('cookie'), [])
  both.wall.ms += DAY
  const renewed = (await ask(t, both.url, get('/', `Cookie: ${NAME}=${mark}`))).one('set-cookie')!
  t.notMatch(renewed, NAME)
  const only = await start(t, { identity: { secrets: ['a new secret of thirty-two bytes!'] } })
  only.wall.ms += DAY
  t.equal((await ask(t, only.url, get('/', `Cookie: ${renewed.split(';')[0]}`))).one('set-cookie'), undefined)
})

t.test('without device cookies nothing is given and nothing taken', async (t) => {
  const { url, upstream } = await start(t, { identity: { deviceCookie: { ...COOKIE, enabled: false } } })
  const answer = await ask(t, url, get('/', `Cookie: ${NAME}=x`, 'Device-Token: ?1'))
  t.equal(answer.one('set-cookie'), undefined)
  t.equal(answer.one('device-token'), undefined)
  t.equal(upstream.seen[0]!.one('cookie'), `${NAME}=x`)
  t.equal(upstream.seen[0]!.one('device-token'), '?1')
})

t.test(
  'a mark is signed anew where its grade has changed, and away from home only for as much as it says',
  async (t) => {
    const identity = { ...policyOf().identity, secrets: [SECRET] as const, deviceCookie: COOKIE }
    const identify = compileIdentify(identity, createKeyring(identity.secrets))
    const { marks, name } = identify.deviceCookie!
    const { field } = compileDeviceAnswer(identify.deviceCookie!, COOKIE, () => NOW)
    const network = (address: string) => identify.network(parseAddress(address)!)
    const home = homeOf(network('198.51.100.7'))
    const mark = { device: 'AAECAwQFBgcICQoL', issuedMs: NOW - 2 * DAY, signedMs: NOW - MINUTE, grade: 2, home }

    /** What the mark is signed as, after a request that has earned a grade on a network; null where it stays. */
    function next(address: string, grade: number | null) {
      const headers = { cookie: `${name(false)}=${marks.sign(mark)}` }
      const given = field(
        { evidence: identify.evidence(network(address), headers, false, NOW), headers, isPeerTrusted: false },
        grade,
      )
      return given && marks.read(/=([\w-]{52});/.exec(given[1])![1]!, NOW)
    }

    t.equal(next('198.51.100.7', 2), null)
    t.equal(next('198.51.100.7', null), null)
    t.same(next('198.51.100.7', 3), { ...mark, signedMs: NOW, grade: 3 })
    t.same(next('198.51.100.7', 1), { ...mark, signedMs: NOW, grade: 1 })
    const away = '203.0.113.9'
    for (const grade of [null, 0, 1]) t.equal(next(away, grade), null)
    for (const grade of [2, 3])
      t.same(next(away, grade), { ...mark, signedMs: NOW, grade, home: homeOf(network(away)) })
  },
)
