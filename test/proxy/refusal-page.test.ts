import t, { type Test } from 'tap'
import { refusalPage } from '../../src/proxy/refusal-page.ts'
import { manualClock, type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { openBrowser } from '../fixtures/browser.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { denyEntry, isProblem, path } from '../fixtures/through.ts'
import { closedPort, startUpstream } from '../fixtures/upstream.ts'

const PAGE = 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const ONCE = limitOf({ rate: { tokens: 1, seconds: 60 }, burst: 1, match: path('/') })

async function start(t: Test, changes: PolicyChanges = {}) {
  const upstream = await startUpstream(t)
  const deny = [denyEntry({ match: path('/denied') })]
  return startTestApp(
    t,
    { limits: [ONCE], deny, upstream: { url: upstream.url }, ...changes },
    { clock: manualClock() },
  )
}

t.test('a browser that is refused gets a page, a program a problem document', async (t) => {
  const { url } = await start(t)
  await ask(t, url, get('/'))
  const page = await ask(t, url, get('/', PAGE))
  t.equal(page.status, 429)
  t.equal(page.one('content-type'), 'text/html; charset=utf-8')
  t.equal(page.one('vary'), 'Accept')
  t.equal(page.one('cache-control'), 'no-store')
  t.equal(page.one('retry-after'), '60')
  t.ok(page.one('ratelimit'))
  t.match(page.one('content-security-policy'), /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'/)
  t.match(page.text, 'Too many requests')
  t.match(page.text, 'Please try again in 60 seconds.')
  t.match(page.text, page.one('x-request-id'))
  const problem = await ask(t, url, get('/'))
  isProblem(t, problem, 429)
  t.equal(problem.one('vary'), 'Accept')
  t.equal(problem.one('content-security-policy'), undefined)
  const { status, body, fields } = await ask(t, url, get('/', PAGE).replace('GET', 'HEAD'), 'HEAD')
  t.same([status, body.length], [429, 0])
  t.equal(fields.find(([name]) => name === 'Content-Length')?.[1], String(page.body.length))
})

t.test('so it does with each refusal of ours', async (t) => {
  const denied = await start(t)
  const down = await start(t, { limits: [limitOf()], upstream: { url: `http://127.0.0.1:${await closedPort()}` } })
  for (const [url, target, status, heading] of [
    [denied.url, '/denied', 403, 'Access denied'],
    [denied.url, '/a\\b', 400, 'Bad Request'],
    [down.url, '/', 502, 'The site is not available'],
  ] as const) {
    const page = await ask(t, url, get(target, PAGE))
    t.equal(page.status, status)
    t.match(page.text, `<h1>${heading}</h1>`)
    t.notMatch(page.text, 'Please try again')
    isProblem(t, await ask(t, url, get(target)), status)
  }
})

t.test('the body of the policy replaces both', async (t) => {
  const { url } = await start(t, { refuse: { body: { text: 'wait {{retry_after}}', type: 'text/plain' } } })
  await ask(t, url, get('/'))
  for (const fields of [[PAGE], []]) {
    const { one, text } = await ask(t, url, get('/', ...fields))
    t.same([one('content-type'), text], ['text/plain', 'wait 60'])
    t.equal(one('vary'), undefined)
  }
})

t.test('everything is escaped, and a wait is never told shorter than it is', async (t) => {
  const problem = { status: 400, detail: `<script>"a"&'b'</script>` }
  const { text } = refusalPage(problem, '<id>', null)
  t.match(text, '&lt;script&gt;&quot;a&quot;&amp;&#39;b&#39;&lt;/script&gt;')
  t.notMatch(text, /<script|<id>/)
  for (const [seconds, words] of [
    [1, '1 second.'],
    [90, '90 seconds.'],
    [91, '2 minutes.'],
    [3601, '61 minutes.'],
    [5401, '2 hours.'],
  ] as const) {
    t.match(refusalPage({ status: 429, detail: '' }, 'x', seconds).text, `Please try again in ${words}`)
  }
})

t.test('a browser shows it, styled, and runs nothing', async (t) => {
  const { url } = await start(t, { limits: [{ ...ONCE, per: 'network', newcomers: null }] })
  await ask(t, url, get('/', PAGE))
  const browser = await openBrowser(t)
  const page = await browser.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  const navigation = await page.goto(url)
  t.equal(navigation?.status(), 429)
  t.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'Too many requests')
  t.equal(await page.title(), 'Too many requests')
  t.equal(await page.locator('main').count(), 1)
  t.equal(await page.locator('html').getAttribute('lang'), 'en')
  t.not(await page.locator('body').evaluate('(body) => getComputedStyle(body).maxWidth'), 'none')
  t.notOk(
    complaints.some((text) => /Content.Security.Policy/i.test(text)),
    complaints.join(),
  )
})
