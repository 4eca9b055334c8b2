import { get } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { answer, isProblem, startDemo } from './demo-under-test.ts'

t.test('so many bytes are sent, each its offset modulo 256', async (t) => {
  const { url } = await startDemo(t)
  for (const n of [0, 1, 255, 65_536, 65_537, 3_000_001]) {
    const response = await fetch(`${url}/bytes?n=${n}`)
    t.equal(response.headers.get('content-length'), String(n))
    const bytes = new Uint8Array(await response.arrayBuffer())
    t.equal(bytes.length, n)
    t.ok(bytes.every((byte, offset) => byte === offset % 256))
  }
})

t.test('HEAD tells the length and sends nothing', async (t) => {
  const { url } = await startDemo(t)
  const response = await fetch(`${url}/bytes?n=2147483648`, { method: 'HEAD' })
  t.equal(response.headers.get('content-length'), '2147483648')
  t.equal(await response.text(), '')
})

t.test('a number out of range is 422', async (t) => {
  const demo = await startDemo(t)
  for (const query of ['', '?n=', '?n=-1', '?n=x', '?n=2147483649']) {
    isProblem(t, await demo.get(`/bytes${query}`), 422, '/problems/invalid-query')
  }
})

t.test('a client that does not read costs no memory, and may go', async (t) => {
  const { url, get: ask } = await startDemo(t)
  const before = process.memoryUsage().rss
  const sent = get(`${url}/bytes?n=2147483648`)
  const received = await new Promise<NodeJS.ReadableStream & { destroy(): void }>((resolve) =>
    sent.on('response', resolve),
  )
  received.pause()
  for (let turn = 0; turn < 2000; turn++) await nextTurn()
  t.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024, 'nothing piles up')
  received.destroy()
  t.equal((await ask('/healthz')).status, 200)
})

t.test('an upload is counted', async (t) => {
  const { url } = await startDemo(t)
  for (const method of ['POST', 'PUT', 'PATCH']) {
    const body = Buffer.alloc(3_000_000)
    t.same((await answer(fetch(`${url}/upload`, { method, body }))).json, { bytes: 3_000_000 })
  }
  t.same((await answer(fetch(`${url}/upload`, { method: 'POST' }))).json, { bytes: 0 })
  const chunked = new Blob([Buffer.alloc(1_000_000)]).stream()
  t.same((await answer(fetch(`${url}/upload`, { method: 'POST', body: chunked, duplex: 'half' }))).json, {
    bytes: 1_000_000,
  })
})
