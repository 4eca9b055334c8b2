import t from 'tap'
import { get, openClient } from '../fixtures/raw-client.ts'
import { isProblem, startThrough } from '../fixtures/through.ts'

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
const END = '0\r\n\r\n'

const CASES: readonly (readonly [name: string, chunk: string])[] = [
  ['chunk-size overflow', `${'f'.repeat(20)}\r\nhello\r\n`],
  ['chunk-size overflow to 5', '10000000000000005\r\nhello\r\n'],
  ['0x10', '0x5\r\nhello\r\n'],
  ['negative', '-5\r\nhello\r\n'],
  ['no number', 'zz\r\nhello\r\n'],
  ['no size', '\r\nhello\r\n'],
  ['a space before the size', ' 5\r\nhello\r\n'],
  ['a space behind the size', '5 \r\nhello\r\n'],
  ['bad CRLF: LF behind the size', '5\nhello\r\n'],
  ['bad CRLF: CR behind the size', '5\rhello\r\n'],
  ['bad CRLF: none behind the data', '5\r\nhelloworld\r\n'],
  ['bad CRLF: LF behind the data', '5\r\nhello\n'],
  ['quoted newline in an extension', '5;a="\n"\r\nhello\r\n'],
  ['quoted CRLF in an extension', '5;a="\r\n"\r\nhello\r\n'],
  ['NUL in an extension', '5;a=\0\r\nhello\r\n'],
  ['a length among the trailers', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
  ['a trailer that is none', '5\r\nhello\r\n0\r\nX : a\r\n\r\n'],
]

for (const [name, chunk] of CASES) {
  t.test(`${name}: 400, and the body never ends for the upstream`, async (t) => {
    const { url, upstream, metric, idle } = await startThrough(t)
    for (const [n, before] of ['', '3\r\nabc\r\n'].entries()) {
      const client = await openClient(t, url)
      client.write(HEAD, before, chunk, END, get('/after'))
      const answer = await client.answer()
      isProblem(t, answer, 400)
      t.equal(answer.one('connection'), 'close')
      await client.closed()
      t.equal(client.rest().length, 0)
      await idle()
      t.notOk(upstream.seen.some(({ target, isWhole }) => target === '/after' || isWhole))
      t.equal(await metric('sluice_requests_total', { outcome: 'error' }), n + 1)
      t.equal(await metric('sluice_requests_total'), n + 1)
    }
  })
}

t.test('extensions without end: 413', async (t) => {
  const { url, upstream } = await startThrough(t)
  const client = await openClient(t, url)
  client.write(HEAD, `5;${'x'.repeat(20_000)}`)
  isProblem(t, await client.answer(), 413)
  await client.closed()
  t.notOk(upstream.seen.some(({ isWhole }) => isWhole))
})

t.test('proper chunks arrive as one body: leading zeros, either case, extensions, trailers', async (t) => {
  const { url, upstream } = await startThrough(t)
  const client = await openClient(t, url)
  client.write(
    HEAD,
    '0005\r\nhello\r\n',
    `A;a=b;c="d"\r\n${'x'.repeat(10)}\r\n`,
    '000\r\nX-T: a\r\n\r\n',
    get('/after'),
  )
  t.equal((await client.answer()).status, 200)
  t.equal((await client.answer()).status, 200)
  t.equal(upstream.seen[0]!.body.toString(), `hello${'x'.repeat(10)}`)
})
