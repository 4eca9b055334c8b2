import t from 'tap'
import { hasTooManyReadings, pathReadings } from '../../src/http/path-readings.ts'
import { AMPLE } from '../fixtures/app.ts'
import { get, openClient } from '../fixtures/raw-client.ts'
import { ONCE, path, startThrough } from '../fixtures/through.ts'
import { DEAREST } from './dearest-heads.ts'

t.test('the 429 path is cheaper than the 200 path', async (t) => {
  const { url, upstream } = await startThrough(t, { limits: [{ ...ONCE, match: path('/limited') }, AMPLE] })
  const client = await openClient(t, url)

  /** Milliseconds of processor time for 100 requests, one after the other. */
  async function cost(target: string, status: number): Promise<number> {
    const begun = process.cpuUsage()
    for (let i = 0; i < 100; i++) {
      client.write(get(target))
      const answer = await client.answer()
      if (answer.status !== status) throw new Error(`${target}: ${answer.status}`)
    }
    const { user, system } = process.cpuUsage(begun)
    return (user + system) / 1000
  }

  client.write(get('/limited'))
  t.equal((await client.answer()).status, 200)
  await cost('/limited', 429)
  await cost('/', 200)
  // Other work on the machine may fall on any round: the least of each is what it costs.
  const spent = { limited: Number.POSITIVE_INFINITY, forwarded: Number.POSITIVE_INFINITY }
  for (let round = 0; round < 6; round++) {
    spent.limited = Math.min(spent.limited, await cost('/limited', 429))
    spent.forwarded = Math.min(spent.forwarded, await cost('/', 200))
  }
  t.ok(spent.limited < spent.forwarded, `${Math.round(spent.limited)} ms against ${Math.round(spent.forwarded)} ms`)
  t.equal(upstream.seen.length, 1 + 7 * 100, 'and it costs the upstream nothing')
})

t.test('the dearest heads cost at most five times a plain 429', async (t) => {
  const { url } = await startThrough(t, { limits: [ONCE] })
  const client = await openClient(t, url)

  async function cost(request: string): Promise<number> {
    const begun = process.cpuUsage()
    for (let i = 0; i < 100; i++) {
      client.write(request)
      const answer = await client.answer()
      if (answer.status !== 429) throw new Error(`${answer.status}: ${request.slice(0, 100)}`)
    }
    const { user, system } = process.cpuUsage(begun)
    return (user + system) / 1000
  }

  client.write(get('/'))
  t.equal((await client.answer()).status, 200)
  for (let warm = 0; warm < 5; warm++) await cost(get('/'))
  for (const [name, request] of Object.entries(DEAREST)) {
    client.write(request)
    // It may be of another class of devices, which has its one request.
    await client.answer()
    await cost(request)
    // Other work on the machine may fall on any round: the least of each is what it costs.
    const least = { plain: Number.POSITIVE_INFINITY, dear: Number.POSITIVE_INFINITY }
    let ratio = Number.POSITIVE_INFINITY
    for (let round = 0; round < 20 && (round < 5 || ratio > 5); round++) {
      least.plain = Math.min(least.plain, await cost(get('/')))
      least.dear = Math.min(least.dear, await cost(request))
      ratio = least.dear / least.plain
    }
    t.ok(ratio <= 5, `${name}: ${ratio.toFixed(1)}`)
  }
})

t.test('what the work would grow by is refused, or not read', async (t) => {
  const { url, upstream } = await startThrough(t)
  const answers: Readonly<Record<string, readonly [string, number]>> = {
    'a long path of all readings': [get('/;%2F%5C'.repeat(1000)), 414],
    'a long path of two readings': [get(`/${'a%2F'.repeat(510)}`), 200],
    'a long path of escapes': [get(`/${'%41'.repeat(1400)}`), 414],
    'a long path of one': [get(`/${'a'.repeat(8000)}`), 200],
    'a Connection of many names': [get('/', `Connection: ${'a,'.repeat(600)}`), 431],
  }
  for (const [name, [request, status]] of Object.entries(answers)) {
    const client = await openClient(t, url)
    client.write(request)
    t.equal((await client.answer()).status, status, name)
  }
  t.equal(upstream.seen.length, 2)
})

t.test('no path that is let through has readings of more than 4 KiB', async (t) => {
  const parts = ['/', '//', '%2F', '%5c', ';', '%3b', '.', '%2e', '%20', '%0a', 'a', '/..']
  let seed = 1
  const next = (below: number) => {
    seed = (seed * 48_271) % 0x7fffffff
    return seed % below
  }
  let passed = 0
  for (let i = 0; i < 3000; i++) {
    const few = Array.from({ length: 1 + next(6) }, () => parts[next(parts.length)]!)
    let path = '/'
    for (const length = next(3000); path.length < length; ) path += few[next(few.length)]
    if (hasTooManyReadings(path)) continue
    passed++
    const total = pathReadings(path).reduce((sum, reading) => sum + reading.length, 0)
    if (total > Math.max(4096, path.length)) t.fail(`${total}: ${path.slice(0, 80)}`)
  }
  t.ok(passed > 100)
})
