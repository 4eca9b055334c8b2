import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { serve } from '../e2e/process.ts'

/** A gibibyte each way, the reader slower than the writer: the memory of the proxy stays (`npm run test:scale`). */

const TOTAL = 1024 ** 3
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const MAX_GROWTH = 64 * 1024 ** 2

/** Writes TOTAL bytes as fast as they are taken. */
function pour(into: NodeJS.WritableStream): void {
  let left = TOTAL
  function more(): void {
    while (left > 0) {
      left -= CHUNK.length
      if (!into.write(CHUNK)) return void into.once('drain', more)
    }
    into.end()
  }
  more()
}

/** Counts what arrives, with a pause now and then: whoever does not wait for the reader would have to keep it. */
async function count(from: NodeJS.ReadableStream): Promise<number> {
  let bytes = 0
  let untilPause = TOTAL / 16
  for await (const chunk of from) {
    bytes += chunk.length
    untilPause -= chunk.length
    if (untilPause > 0) continue
    untilPause += TOTAL / 16
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return bytes
}

async function start(t: Test) {
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') return pour(response)
    response.end(String(await count(request)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close().closeAllConnections())
  const proxy = await serve(t, { SLUICE_UPSTREAM: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  // Buffers and code that the first requests bring.
  for (let i = 0; i < 20; i++) await (await fetch(proxy.url, { method: 'POST', body: 'x'.repeat(100_000) })).text()
  const resident = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.child.pid}/status`, 'utf8'))![1]) * 1024
  const before = resident()
  let peak = before
  const looking = setInterval(() => {
    peak = Math.max(peak, resident())
  }, 20)
  t.teardown(() => clearInterval(looking))
  return { url: proxy.url, growth: () => Math.max(peak, resident()) - before }
}

function hold(t: Test, growth: number, bytes: number): void {
  t.equal(bytes, TOTAL)
  t.ok(growth < MAX_GROWTH, `memory grew by ${Math.round(growth / 1024 ** 2)} MiB`)
  t.comment(`memory grew by ${Math.round(growth / 1024 ** 2)} MiB`)
}

t.test('a download of 1 GiB', async (t) => {
  const { url, growth } = await start(t)
  const asked = request(url).end()
  const [answer] = await once(asked, 'response')
  const bytes = await count(answer)
  hold(t, growth(), bytes)
})

t.test('an upload of 1 GiB', async (t) => {
  const { url, growth } = await start(t)
  const asked = request(url, { method: 'POST' })
  pour(asked)
  const [answer] = await once(asked, 'response')
  let text = ''
  for await (const chunk of answer) text += chunk
  hold(t, growth(), Number(text))
})
