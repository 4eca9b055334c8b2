import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { freePort, run } from './process.ts'

/** What config/sluice.yaml says: 60 a minute, burst 30 for each device. */
const BURST = 30
const RATE_PER_SECOND = 1

async function start(t: Test) {
  const env = {
    SLUICE_LISTEN: '127.0.0.1:0',
    SLUICE_ADMIN: '127.0.0.1:0',
    DEMO_PORT: String(await freePort()),
    SLUICE_LOG_LEVEL: 'warn',
  }
  const running = run(t, 'start.js', [], { ...env, SLUICE_UPSTREAM: `http://127.0.0.1:${env.DEMO_PORT}` })
  const [, url] = await running.waitFor(/curl -i (http\S+)\/items/)
  return { ...running, url: url! }
}

/** Sends requests one after another until `seconds` have passed, and counts the good ones. */
async function flood(url: string, seconds: number, headers: (i: number) => Record<string, string>): Promise<number> {
  const begin = performance.now()
  let passed = 0
  for (let i = 0; performance.now() - begin < 1000 * seconds; i++) {
    const answer = await fetch(`${url}/items`, { headers: headers(i) })
    await answer.arrayBuffer()
    if (answer.status === 200) passed++
    else if (answer.status !== 429) throw new Error(`unexpected ${answer.status}`)
  }
  return passed
}

t.test('npm start: the burst passes, then 429 with a Retry-After that keeps its word', async (t) => {
  const { url } = await start(t)
  const begin = performance.now()
  const statuses: number[] = []
  let last: Response | undefined
  for (let i = 0; i < 40; i++) {
    last = await fetch(`${url}/items`, { headers: { 'User-Agent': 'curl/8' } })
    await last.arrayBuffer()
    statuses.push(last.status)
  }
  const seconds = (performance.now() - begin) / 1000
  const passed = statuses.filter((status) => status === 200).length
  t.ok(passed >= BURST && passed <= BURST + seconds * RATE_PER_SECOND + 1e-6, `${passed} passed in ${seconds} s`)
  t.same(new Set(statuses), new Set([200, 429]))
  t.equal(
    statuses.slice(0, BURST).every((status) => status === 200),
    true,
    'the whole burst first',
  )

  const retryAfter = Number(last?.headers.get('retry-after'))
  t.ok(retryAfter >= 1)
  await delay(1000 * retryAfter)
  const again = await fetch(`${url}/items`, { headers: { 'User-Agent': 'curl/8' } })
  t.equal(again.status, 200)
})

t.test('npm start: a taken email is 409', async (t) => {
  const { url } = await start(t)
  const create = () =>
    fetch(`${url}/users`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email: 'ada@example.com' }),
    })
  t.equal((await create()).status, 201)
  const second = await create()
  t.equal(second.status, 409)
  t.match(second.headers.get('content-type'), 'application/problem+json')
})

for (const [what, headers] of [
  ['User-Agent', (i: number) => ({ 'User-Agent': `bot/${i}` })],
  ['bearer token', (i: number) => ({ 'User-Agent': 'bot', Authorization: `Bearer ${i}-${Math.random()}` })],
  [
    'User-Agent, language and token',
    (i: number) => ({ 'User-Agent': `b${i}`, 'Accept-Language': `x-${i}`, Authorization: `${i}` }),
  ],
] as const) {
  t.test(`a client with another ${what} on every request stops at what its network's newcomers share`, async (t) => {
    const { url } = await start(t)
    const seconds = 4
    const passed = await flood(url, seconds, headers)
    // identity.md section 6: 2B + 5rT; one more second for the time that starting and stopping the count takes
    t.ok(passed <= 2 * BURST + 5 * RATE_PER_SECOND * (seconds + 1), `${passed} passed`)
    t.ok(passed >= 2 * BURST, 'and is not refused what it has')
  })
}
