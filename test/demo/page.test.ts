import { type Browser, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createDemo } from '../../src/demo/server.ts'
import { createLog } from '../../src/log.ts'
import { startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'

/** The page in a real browser, through the proxy, with the limits of `npm start`. */

const BURST = 30
const SHOTS = process.env.DEMO_SCREENSHOTS
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const browser: Browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: ARGS })
t.teardown(() => browser.close())

t.test('a burst is answered with 200s, then 429s, with the seconds until the next token', async (t) => {
  const { page } = await open(t)
  await page.getByRole('button', { name: 'Send a burst' }).click()
  await page.getByText(/\d+ answered, \d+ refused with 429/).waitFor()
  const statuses = await page.locator('#statuses li').allTextContents()
  t.equal(statuses.length, 40)
  const passed = statuses.filter((status) => status === '200').length
  // The page and its two files took three tokens; one a second comes back.
  t.ok(passed >= BURST - 4 && passed < 40, `${passed} passed`)
  t.same(new Set(statuses), new Set(['200', '429']))
  t.match(await page.locator('#next-token').textContent(), /^(in \d+ s|now) \(\d+ left of "device" when last told\)$/)
  await shoot(page, 'burst')
})

t.test('an email is registered, and the second time is a conflict', async (t) => {
  const { page } = await open(t)
  await page.getByLabel('Email').fill('Grace@Example.com')
  await page.keyboard.press('Enter')
  await page.getByText('A user with this email exists already.').waitFor()
  t.same(await page.locator('#users li').allTextContents(), [
    'first: 201 grace@example.com',
    'second: 409 The email is taken',
  ])
})

t.test('a job is followed live, beside the one that waits', async (t) => {
  const { page } = await open(t)
  await page.getByRole('button', { name: 'Integrate, both ways' }).click()
  await page.getByText('Both are over.').waitFor()
  const states = await page.locator('#job-states li').allTextContents()
  t.match(states[0], '202 queued')
  t.ok(states.some((state) => state.includes('running, attempt 1')))
  t.match(states.at(-1), /done, attempt 1 acme-\d/)
  t.match(await page.locator('#waited li').allTextContents(), [/^200 acme-\d/])
  const [queuedMs, waitedMs] = await Promise.all(
    ['#queued-time', '#waited-time'].map(async (id) => Number.parseInt((await page.locator(id).textContent())!, 10)),
  )
  t.ok(waitedMs! >= 1000, `waited ${waitedMs} ms`)
  t.ok(queuedMs! < waitedMs! / 2, `queued ${queuedMs} ms`)
  await shoot(page, 'job')
})

t.test('with no token left the forms wait for one, and get there', async (t) => {
  const { page } = await open(t)
  await page.getByRole('button', { name: 'Send a burst' }).click()
  await page.getByText(/refused with 429/).waitFor()
  await page.getByRole('button', { name: 'Register twice' }).click()
  await page.getByText('A user with this email exists already.').waitFor()
  t.equal(await page.locator('#users li').count(), 2)
})

t.test('it is worked by keyboard, fits a phone, asks nobody else and breaks no rule of its own', async (t) => {
  for (const [width, height] of [
    [1280, 900],
    [360, 800],
  ] as const) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, hosts, problems } = await open(t, { viewport: { width, height }, colorScheme })
      const focused: string[] = []
      for (let n = 0; n < 7; n++) {
        await page.keyboard.press('Tab')
        focused.push(await page.evaluate('document.activeElement.name || document.activeElement.textContent'))
      }
      t.same(focused, [
        'All routes',
        'count',
        'Send a burst',
        'email',
        'Register twice',
        'partner',
        'Integrate, both ways',
      ])
      await page.keyboard.press('Space')
      await page.getByText('Both are over.').waitFor()
      t.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, `${width} wide`)
      t.same(await page.evaluate(LOW_CONTRAST), [], `${colorScheme}: enough contrast`)
      t.equal(hosts.size, 1)
      t.same(problems, [])
      await shoot(page, `${width}-${colorScheme}`)
    }
  }
})

/** Texts whose colour is nearer to their ground than 4.5 : 1 (WCAG 2.2, 1.4.3). */
const LOW_CONTRAST = `(() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  const parse = (c) => c.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c } return [255, 255, 255] }
  return [...document.querySelectorAll('body *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .filter((e) => e.tagName !== 'NOSCRIPT').map((e) => {
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x)
      return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)]
    }).filter(([ratio]) => ratio < 4.5)
})()`

async function open(t: Test, options: Parameters<Browser['newContext']>[0] = {}) {
  const log = createLog({ level: 'silent' })
  const demo = createDemo({ port: 0, log, thirdPartyMs: 1200, thirdPartyFailures: 0 })
  const { url: upstream } = await demo.start()
  t.teardown(() => demo.close())
  const limits = [limitOf({ rate: { tokens: 60, seconds: 60 }, burst: BURST })]
  const app = await startTestApp(t, { limits, upstream: { url: upstream } })
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  const hosts = new Set<string>()
  const problems: string[] = []
  page.on('request', (request) => hosts.add(new URL(request.url()).host))
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('the server responded with a status')) {
      problems.push(message.text())
    }
  })
  await page.goto(app.url)
  return { page, hosts, problems }
}

async function shoot(page: Page, name: string): Promise<void> {
  if (SHOTS !== undefined) await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true })
}
