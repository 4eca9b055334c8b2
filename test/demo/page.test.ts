import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import { createDemo } from '../../src/demo/server.ts'
import { createLog } from '../../src/log.ts'
import { startTestApp } from '../fixtures/app.ts'
import { LOW_CONTRAST, openBrowser, openPage, shoot } from '../fixtures/browser.ts'
import { limitOf } from '../fixtures/policy.ts'

/** The page in a real browser, through the proxy, with the limits of `npm start`. */

const BURST = 30

const browser = await openBrowser(t)

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

async function open(t: Test, options: Parameters<Browser['newContext']>[0] = {}) {
  const log = createLog({ level: 'silent' })
  const demo = createDemo({ port: 0, log, thirdPartyMs: 1200, thirdPartyFailures: 0 })
  const { url: upstream } = await demo.start()
  t.teardown(() => demo.close())
  const limits = [limitOf({ rate: { tokens: 60, seconds: 60 }, burst: BURST })]
  const app = await startTestApp(t, { limits, upstream: { url: upstream } })
  return openPage(t, browser, app.url, options)
}
