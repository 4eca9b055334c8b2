import t from 'tap'
import { ask, get, openClient } from '../fixtures/raw-client.ts'
import { holdRefusals, isProblem, startThrough } from '../fixtures/through.ts'

t.test('414, 431 (never silently cut)', async (t) => {
  t.test('by the defaults', async (t) => {
    await holdRefusals(t, [
      ['a target of more than half of max_header_bytes', get(`/${'x'.repeat(8192)}`), 414],
      ['its query', get(`/?${'x'.repeat(8192)}`), 414],
      ['a target beyond max_header_bytes', get(`/${'x'.repeat(20_000)}`), 414],
      ['a field beyond max_header_bytes', get('/', `X-Large: ${'x'.repeat(20_000)}`), 431],
      ['a name beyond max_header_bytes', get('/', `${'x'.repeat(20_000)}: 1`), 431],
      ['many fields beyond it', get('/', ...Array.from({ length: 90 }, () => `X: ${'x'.repeat(200)}`)), 431],
      ['more than max_headers', get('/', ...Array.from({ length: 100 }, (_, i) => `X-${i}: 1`)), 431],
      ['many more', get('/', ...Array.from({ length: 2500 }, () => 'a:')), 431],
    ])
  })

  t.test('by the policy', async (t) => {
    const { url, upstream } = await startThrough(t, { server: { maxHeaders: 5, maxHeaderBytes: 1000 } })
    t.equal((await ask(t, url, get(`/${'x'.repeat(499)}`))).status, 200)
    t.equal((await ask(t, url, get(`/${'x'.repeat(500)}`))).status, 414)
    t.equal((await ask(t, url, get('/', 'A: 1', 'B: 1', 'C: 1', 'D: 1'))).status, 200)
    t.equal((await ask(t, url, get('/', 'A: 1', 'B: 1', 'C: 1', 'D: 1', 'E: 1'))).status, 431)
    t.equal((await ask(t, url, get('/', `A: ${'x'.repeat(1000)}`))).status, 431)
    t.equal(upstream.seen.length, 2)
  })

  t.test('also where it comes in many pieces', async (t) => {
    const { url, upstream } = await startThrough(t)
    const client = await openClient(t, url)
    client.socket.setNoDelay()
    client.write('GET / HTTP/1.1\r\nHost: a\r\nX-Large: ')
    for (let i = 0; i < 20; i++) {
      client.write('x'.repeat(1000))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    isProblem(t, await client.answer(), 431)
    t.equal(upstream.seen.length, 0)
  })

  t.test('and what is just within them arrives whole', async (t) => {
    const { url, upstream } = await startThrough(t)
    const fields = Array.from({ length: 99 }, (_, i) => `X-${i}: ${'y'.repeat(50)}`)
    t.equal((await ask(t, url, get(`/${'x'.repeat(8191)}`, ...fields))).status, 200)
    t.equal(upstream.seen[0]!.target.length, 8192)
    t.equal(upstream.seen[0]!.fields.filter(([, value]) => value === 'y'.repeat(50)).length, 99)
  })
})
