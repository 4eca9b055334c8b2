import t from 'tap'
import { AMPLE } from '../fixtures/app.ts'
import { get, openClient } from '../fixtures/raw-client.ts'
import { ONCE, path, startThrough } from '../fixtures/through.ts'

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
  const spent = { limited: 0, forwarded: 0 }
  for (let round = 0; round < 4; round++) {
    spent.limited += await cost('/limited', 429)
    spent.forwarded += await cost('/', 200)
  }
  t.ok(spent.limited < spent.forwarded, `${Math.round(spent.limited)} ms against ${Math.round(spent.forwarded)} ms`)
  t.equal(upstream.seen.length, 1 + 5 * 100, 'and it costs the upstream nothing')
})
