import type { BrowserContextOptions } from 'playwright-core'
import t, { type Test } from 'tap'
import { type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { LOW_CONTRAST, openBrowser, openPage, shoot } from '../fixtures/browser.ts'
import { limitOf } from '../fixtures/policy.ts'
import { ok, startUpstream } from '../fixtures/upstream.ts'

/** The page in a real browser, beside a proxy with live traffic. */

const TOKEN = 'the-admin-token'
const AGENT = 'curl/8.0'
const browser = await openBrowser(t)

t.test('refusals appear while they happen, in the rates, under their limit and among the most refused', async (t) => {
  const { page, flood } = await open(t)
  await page.getByText('0 requests a second').waitFor()
  await page.getByText('Nobody was refused.').waitFor()
  const stop = flood()
  await page.getByText(/[1-9][\d.]* requests a second, of which [1-9][\d.]* are refused/).waitFor()
  await page.locator('#limits tr.bad').waitFor()
  await page.locator('#top td').nth(1).waitFor()
  t.equal(await page.locator('#top td').nth(1).textContent(), 'class')
  t.equal(await page.locator('#top td').nth(2).textContent(), '1')
  t.ok(Number(await page.locator('#top td').nth(3).textContent()) > 0)
  await stop()
  await shoot(page, 'refusals')
})

t.test('a limit that was not charged because another one refused does not count as passed', async (t) => {
  const all = limitOf({ name: 'all', burst: 1_000_000 })
  const login = limitOf({ name: 'login', rate: { tokens: 1, seconds: 3600 }, burst: 1 })
  const { page, ask, flood } = await open(t, { limits: [all, login] })
  await ask()
  const stop = flood()
  const row = page.locator('#limits tr').filter({ hasText: 'all' })
  await page.locator('#limits tr.bad').waitFor()
  await row
    .locator('td', { hasText: /^[1-9]/ })
    .nth(1)
    .waitFor()
  const cells = await row.locator('td').allTextContents()
  const headings = await page.locator('#limits').locator('xpath=..').locator('th').allTextContents()
  const cell = (heading: string) => cells[headings.indexOf(heading)]
  t.ok(Number(cell('Passed / s')) <= 1, 'the one request that was charged, between two looks')
  t.equal(cell('Refused / s'), '0')
  t.ok(Number(cell('Refused by another limit / s')) > 0)
  await stop()
})

t.test('a key is found by what its client shows, and reset: the client passes again', async (t) => {
  const { page, ask } = await open(t)
  await ask(3)
  t.equal(await ask(), 429)
  await page.getByLabel('Address', { exact: true }).fill('127.0.0.1')
  await page.getByText('The class of a device at that address').click()
  await page.getByLabel('User-Agent').fill(AGENT)
  await page.getByLabel('Accept-Language').fill('en')
  await page.getByRole('button', { name: 'Find' }).click()
  const card = page.locator('article').first()
  await card.getByText('a class of devices in a network, refused 1 times').waitFor()
  t.match(await card.locator('tbody').textContent(), '0 of 3')
  t.equal(await page.getByLabel('Address', { exact: true }).inputValue(), '', 'what was given does not stay')
  await giveToken(page, TOKEN)
  await card.getByLabel('Reason').fill('the office called')
  await card.getByRole('button', { name: 'Reset buckets' }).click()
  await card.getByText('Its buckets are full.').waitFor()
  t.match(await card.locator('tbody').textContent(), '3 of 3')
  await page.locator('#audit').getByText('the office called').waitFor()
  t.equal(await ask(), 200)
})

t.test('the last refusals are listed, and each is explained', async (t) => {
  const { page, ask } = await open(t)
  await ask(4)
  const refusal = page.getByRole('button', { name: /^Explain request / })
  await refusal.first().waitFor()
  t.equal(await refusal.count(), 1)
  const id = (await refusal.getAttribute('aria-label'))!.replace('Explain request ', '')
  await refusal.click()
  await page.locator('#explained').getByText('"binding": "device"').waitFor()
  const told = JSON.parse((await page.locator('#explained').textContent())!)
  t.match(told, { refusal: { request_id: id, status: 429 }, now: { buckets: [{ limit: 'device', remaining: 0 }] } })
})

t.test('a wrong token is refused, and nothing is changed', async (t) => {
  const { page, ask } = await open(t)
  await ask(4)
  await giveToken(page, 'not-the-token')
  await page.locator('#top button').click()
  const card = page.locator('article').first()
  await card.getByLabel('Reason').fill('just trying')
  await card.getByRole('button', { name: 'Reset buckets' }).click()
  await card.getByText('This is not the admin token').waitFor()
  t.equal(await ask(), 429)
  t.equal(await page.locator('#audit').textContent(), 'Nothing yet.')
})

t.test('a ban and a grant hold, are listed, and can be lifted', async (t) => {
  const { page, ask } = await open(t)
  await ask(4)
  await giveToken(page, TOKEN)
  await page.locator('#top button').click()
  const card = page.locator('article').first()
  await card.getByLabel('Reason').fill('scrapes')
  await card.getByRole('button', { name: 'Ban' }).click()
  await card.getByText('It is refused from now on.').waitFor()
  t.equal(await ask(), 403)
  await page.locator('#orders').getByText('Banned until').waitFor()
  await page.getByLabel('Reason to lift it').fill('stopped')
  await page.getByRole('button', { name: 'Lift' }).click()
  await page.locator('#orders').getByText('There are none.').waitFor()
  t.equal(await ask(), 429)
  await card.getByRole('button', { name: 'Grant' }).click()
  await card.getByText('No limit counts it from now on.').waitFor()
  t.equal(await ask(), 200)
})

t.test('it says of what kind the store is, and which policy is in force', async (t) => {
  const { page } = await open(t)
  await page.locator('#store').getByText('memory').waitFor()
  await page.locator('#policy').getByText('test', { exact: true }).waitFor()
  await page.getByText('All of it, without its secrets').click()
  t.match(await page.locator('#policy-text').textContent(), '"limits"')
  t.notMatch(await page.locator('body').textContent(), TOKEN)
})

t.test('a reason that is markup is shown as what it is', async (t) => {
  const { page, ask, adminUrl, problems } = await open(t)
  await ask(4)
  const { refused } = (await (await fetch(`${adminUrl}/api/refused`)).json()) as { refused: { key: string }[] }
  const reason = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ key: refused[0]!.key, for: '1h', reason })
  await fetch(`${adminUrl}/api/ban`, { method: 'POST', headers, body })
  await page.locator('#audit').getByText(reason).waitFor()
  await page.locator('#orders').getByText(reason).waitFor()
  await page.locator('#top button').click()
  await page.locator('article').getByText(reason).waitFor()
  t.equal(await page.locator('img').count(), 0)
  t.equal(await page.title(), 'Sluice')
  t.same(problems, [])
})

t.test(
  'the bucket that all share is shown with a key, and which limits cannot be; a reset leaves that bucket as it is',
  async (t) => {
    const limits = [
      limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 3 }),
      limitOf({ name: 'all', per: 'global', rate: { tokens: 1, seconds: 3600 }, burst: 50 }),
      limitOf({
        ...{ name: 'by-search', rate: { tokens: 1, seconds: 3600 }, burst: 40 },
        ...{ per: [{ kind: 'network' }, { kind: 'query', name: 'q' }], onMissing: 'share' },
      }),
    ]
    const { page, ask } = await open(t, { limits }, { viewport: { width: 360, height: 800 }, colorScheme: 'dark' })
    await ask(4)
    await page.locator('#top button').click()
    const card = page.locator('article').first()
    await card.getByText('47 of 50').waitFor()
    await card.getByText('Not shown: by-search.').waitFor()
    t.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true)
    t.same(await page.evaluate(LOW_CONTRAST), [])
    await shoot(page, 'shared-buckets')
    await giveToken(page, TOKEN)
    await card.getByLabel('Reason').fill('again')
    await card.getByRole('button', { name: 'Reset buckets' }).click()
    await card.getByText('3 of 3').waitFor()
    await card.getByText('47 of 50').waitFor()
  },
)

t.test('it is worked by keyboard, fits a phone, asks nobody else and breaks no rule of its own', async (t) => {
  for (const [width, height] of [
    [1280, 900],
    [360, 800],
  ] as const) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, hosts, problems, ask, flood } = await open(t, {}, { viewport: { width, height }, colorScheme })
      const stop = flood()
      await ask(5)
      await page.locator('#top button').waitFor()
      await page.locator('#top button').focus()
      await page.keyboard.press('Enter')
      await page.locator('article').waitFor()
      t.equal(await page.evaluate('document.activeElement.id'), 'keys-title', 'the focus goes to what was opened')
      await page.waitForTimeout(5000)
      t.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, `${width} wide`)
      t.same(await page.evaluate(LOW_CONTRAST), [], `${colorScheme}: enough contrast`)
      t.same(await page.evaluate(UNNAMED), [], 'whatever takes input has a name')
      t.equal(hosts.size, 1)
      t.same(problems, [])
      await shoot(page, `admin-${width}-${colorScheme}`)
      await stop()
    }
  }
})

/** Fields and buttons without a label. */
const UNNAMED = `[...document.querySelectorAll('input, select, button')]
  .filter((e) => !(e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)`

async function giveToken(page: Awaited<ReturnType<typeof open>>['page'], token: string): Promise<void> {
  await page.locator('#token').getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Use it' }).click()
}

async function open(t: Test, changes: PolicyChanges = {}, options: BrowserContextOptions = {}) {
  const upstream = await startUpstream(t, (turn) => turn.send(ok()))
  const limits = [limitOf({ rate: { tokens: 1, seconds: 3600 }, burst: 3 })]
  const app = await startTestApp(t, { limits, adminToken: TOKEN, upstream: { url: upstream.url }, ...changes })

  /** Asks so many times, as one client; gives the last status. */
  async function ask(times = 1): Promise<number> {
    let status = 0
    for (let n = 0; n < times; n++) {
      const headers = { 'user-agent': AGENT, 'accept-language': 'en' }
      const response = await fetch(app.url, { headers })
      await response.arrayBuffer()
      status = response.status
    }
    return status
  }

  /** Asks again and again until it is told to stop. */
  function flood(): () => Promise<void> {
    let isOver = false
    const asking = (async () => {
      while (!isOver) {
        await ask()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })()
    return () => {
      isOver = true
      return asking
    }
  }

  return { ...app, ask, flood, ...(await openPage(t, browser, app.adminUrl, options)) }
}
