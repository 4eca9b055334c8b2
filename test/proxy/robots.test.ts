import t from 'tap'
import { manualClock, startTestApp } from '../fixtures/app.ts'
import { EVERYTHING, limitOf } from '../fixtures/policy.ts'
import { ask, get, post } from '../fixtures/raw-client.ts'
import { denyEntry, isProblem, path } from '../fixtures/through.ts'
import { ok, startUpstream } from '../fixtures/upstream.ts'

const ONCE = limitOf({ rate: { tokens: 1, seconds: 60 }, burst: 1 })

t.test('robots.txt is never answered 4xx by us, which would mean: take everything', async (t) => {
  const upstream = await startUpstream(t)
  const sid = limitOf({ name: 'sid', per: [{ kind: 'cookie', name: 'sid' }], onMissing: 'skip', burst: 100 })
  const keyed = limitOf({ name: 'keyed', per: 'principal', onMissing: 'deny', match: path('/k/**') })
  const { url, metric, idle, logged } = await startTestApp(
    t,
    {
      upstream: { url: upstream.url },
      limits: [ONCE, sid, keyed],
      deny: [denyEntry({ match: { ...EVERYTHING, headers: [{ name: 'user-agent', value: 'bad*' }] }, status: 410 })],
    },
    { clock: manualClock() },
  )
  t.equal((await ask(t, url, get('/robots.txt'))).status, 200)
  const limited = await ask(t, url, get('/robots.txt?x'))
  isProblem(t, limited, 503)
  t.equal(limited.one('retry-after'), '60')
  t.equal(limited.json.title, 'Service Unavailable')
  t.equal((await ask(t, url, get('/robots.txt').replace('GET', 'HEAD'), 'HEAD')).status, 503)
  t.equal((await ask(t, url, get('/x/../robots.txt'))).status, 503, 'as the upstream is asked')
  isProblem(t, await ask(t, url, get('/robots.txt', 'User-Agent: bad')), 503)
  isProblem(t, await ask(t, url, get('/robots.txt', 'Cookie: sid=1; sid=2')), 503)
  for (const target of ['/Robots.txt', '/robots.txt/', '/a/robots.txt', '/robots%2Etxt', '/']) {
    t.equal((await ask(t, url, get(target))).status, 429, target)
  }
  t.equal((await ask(t, url, post('/robots.txt', 'x'))).status, 429, 'who posts is no crawler')
  t.equal((await ask(t, url, get('/', 'User-Agent: bad'))).status, 410)
  await idle()
  t.equal(await metric('sluice_requests_total', { outcome: 'limited' }), 9, 'counted as what it is')
  t.equal(logged('request').filter(({ status }) => status === 503).length, 5)
})

t.test("the upstream's own 404 for robots.txt passes", async (t) => {
  const upstream = await startUpstream(t, ({ send }) => send(ok().replace('200 OK', '404 Not Found')))
  const { url } = await startTestApp(t, { upstream: { url: upstream.url } })
  t.equal((await ask(t, url, get('/robots.txt'))).status, 404)
})
