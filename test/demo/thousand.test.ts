import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createDemo } from '../../src/demo/server.ts'
import { createLog } from '../../src/log.ts'
import { startThirdParty } from '../fixtures/third-party.ts'
import { answer } from './demo-under-test.ts'

const COUNT = 1000
/** A busy machine may spoil a round or two, a slow demo spoils all. */
const ROUNDS = 5
/** Above what a request takes that does nothing: this process is client, demo and third party at once. */
const P99_MS = 20

t.test(
  'a thousand integrations are accepted at once, whatever the third party takes, and each is done once',
  async (t) => {
    const thirdParty = await startThirdParty(300)
    t.teardown(() => thirdParty.close())
    const log = createLog({ level: 'silent' })
    const demo = createDemo({ port: 0, log, thirdPartyUrl: thirdParty.url, concurrency: 100 })
    const { url } = await demo.start()
    t.teardown(() => demo.close())
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())

    const ids = new Set<string>()
    const above: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const times: number[] = []
      const idle: number[] = []
      for (let n = 0; n < COUNT / ROUNDS; n++) {
        idle.push(await timed(() => send('GET', `${url}/healthz`)))
        times.push(
          await timed(async () => {
            const { status, body } = await send('POST', `${url}/integrations`, `{"partner":"acme","payload":${n}}`)
            if (status !== 202) t.equal(status, 202)
            ids.add(JSON.parse(body).id)
          }),
        )
      }
      t.comment(
        `99 of 100 within ${p99(times).toFixed(1)} ms; of those that do nothing within ${p99(idle).toFixed(1)} ms`,
      )
      above.push(p99(times) - p99(idle))
    }
    t.ok(
      Math.min(...above) <= P99_MS,
      `99 of 100 within ${above.map((ms) => ms.toFixed(1)).join(', ')} ms above nothing`,
    )
    t.equal(ids.size, COUNT)

    for (let isDone = false; !isDone; ) {
      await delay(200)
      const { json } = await answer(fetch(`${url}/jobs?per_page=100&page=1`))
      isDone = json.jobs.every(({ state }: { state: string }) => state === 'done')
    }
    for (let page = 1; page <= COUNT / 100; page++) {
      const { json } = await answer(fetch(`${url}/jobs?per_page=100&page=${page}`))
      t.equal(json.jobs.length, 100)
      t.ok(
        json.jobs.every(
          ({ state, attempts }: { state: string; attempts: number }) => state === 'done' && attempts === 1,
        ),
      )
    }
    t.equal(thirdParty.acted(), COUNT)
    t.same(new Set([...thirdParty.asked.keys()].map((key) => key.slice(1, -1))), ids)

    function send(method: string, to: string, body = ''): Promise<{ status: number; body: string }> {
      return new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
        const outgoing = request(to, { method, agent, headers }, (response) => {
          text(response).then((read) => resolve({ status: response.statusCode!, body: read }), reject)
        })
        outgoing.once('error', reject)
        outgoing.end(body)
      })
    }
  },
)

async function timed(call: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await call()
  return performance.now() - begin
}

function p99(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length * 0.99) - 1]!
}
