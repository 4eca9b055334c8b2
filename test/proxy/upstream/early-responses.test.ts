import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { startTestApp } from '../../fixtures/app.ts'
import { ask, openClient } from '../../fixtures/raw-client.ts'
import { isProblem } from '../../fixtures/through.ts'

/** An upstream that answers 413 as soon as it has seen the head, and closes as body parsers do: by a close, or by a reset. */
async function startEarly(t: Test, end: 'destroy' | 'resetAndDestroy', response: string) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(response)
      // By a reset only when the response is out: the kernel drops what it has not sent.
      if (end === 'destroy') socket.destroy()
      else setTimeout(() => socket.resetAndDestroy(), 5)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { url } = await startTestApp(t, {
    limits: [],
    upstream: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
  })
  return url
}

const TOO_LARGE = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbig\n'
const SIZE = 4 * 1024 * 1024
const PIECE = 64 * 1024

for (const end of ['destroy', 'resetAndDestroy'] as const) {
  for (const framing of ['a length', 'chunks'] as const) {
    t.test(
      `a response that comes before the body is sent reaches the client (${end}, body with ${framing})`,
      async (t) => {
        const url = await startEarly(t, end, TOO_LARGE)
        const statuses = new Map<number, number>()
        for (let i = 0; i < 30; i++) {
          const client = await openClient(t, url)
          const isChunked = framing === 'chunks'
          client.write(
            `POST / HTTP/1.1\r\nHost: a\r\n${isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${SIZE}`}\r\n\r\n`,
          )
          const piece = `${isChunked ? `${PIECE.toString(16)}\r\n` : ''}${'x'.repeat(PIECE)}${isChunked ? '\r\n' : ''}`
          for (let sent = 0; sent < SIZE; sent += PIECE) client.write(piece)
          const { status } = await client.answer()
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
          client.socket.destroy()
        }
        t.same([...statuses], [[413, 30]])
      },
    )
  }
}

t.test('an upstream that closes in the middle of a body without a word is 502, and soon', async (t) => {
  const url = await startEarly(t, 'destroy', '')
  const start = performance.now()
  isProblem(
    t,
    await ask(t, url, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n${'x'.repeat(SIZE)}`),
    502,
  )
  t.ok(performance.now() - start < 5000)
})
