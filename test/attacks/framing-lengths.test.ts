import t from 'tap'
import { get, openClient } from '../fixtures/raw-client.ts'
import { holdRefusals, startThrough } from '../fixtures/through.ts'

/** A body that is three bytes to one reader and a chunk to another. */
const AMBIGUOUS = '3\r\nabc\r\n0\r\n\r\n'

function framed(version: string, ...fields: readonly string[]): string {
  return [`POST / HTTP/${version}`, 'Host: a', ...fields, '', AMBIGUOUS].join('\r\n')
}

t.test('Transfer-Encoding with Content-Length: 400', async (t) => {
  await holdRefusals(t, [
    ['length first', framed('1.1', 'Content-Length: 3', 'Transfer-Encoding: chunked'), 400],
    ['length last', framed('1.1', 'Transfer-Encoding: chunked', 'Content-Length: 3'), 400],
    ['a length of 0', framed('1.1', 'Transfer-Encoding: chunked', 'Content-Length: 0'), 400],
  ])
})

t.test('differing or listed Content-Lengths, and what is no length: 400', async (t) => {
  await holdRefusals(t, [
    ['two that differ', framed('1.1', 'Content-Length: 5', 'Content-Length: 6'), 400],
    ['two that are equal', framed('1.1', 'Content-Length: 5', 'content-length: 5'), 400],
    ['a list', framed('1.1', 'Content-Length: 5, 5'), 400],
    ['an empty one', framed('1.1', 'Content-Length:'), 400],
    ['with a sign', framed('1.1', 'Content-Length: +3'), 400],
    ['negative', framed('1.1', 'Content-Length: -3'), 400],
    ['hexadecimal', framed('1.1', 'Content-Length: 0x3'), 400],
    ['with a unit', framed('1.1', 'Content-Length: 5x'), 400],
    ['with a space', framed('1.1', 'Content-Length: 3 3'), 400],
    ['that overflows to 3', framed('1.1', 'Content-Length: 18446744073709551619'), 400],
    ['beyond what is exact', framed('1.1', 'Content-Length: 9007199254740993'), 400],
    ['of thirty digits', framed('1.1', `Content-Length: ${'9'.repeat(30)}`), 400],
  ])
})

t.test('unknown or not-last chunked: 501 / 400', async (t) => {
  await holdRefusals(t, [
    ['an unknown coding', framed('1.1', 'Transfer-Encoding: gzip'), 501],
    ['chunked that is not last', framed('1.1', 'Transfer-Encoding: chunked, gzip'), 400],
    ['not last, in two lines', framed('1.1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: gzip'), 400],
    ['chunked twice', framed('1.1', 'Transfer-Encoding: chunked, chunked'), 400],
    ['chunked in two lines', framed('1.1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), 400],
    ['identity', framed('1.1', 'Transfer-Encoding: identity'), 501],
    ['nothing', framed('1.1', 'Transfer-Encoding:'), 400],
    ['an empty member', framed('1.1', 'Transfer-Encoding: , chunked'), 400],
    ['with a parameter', framed('1.1', 'Transfer-Encoding: chunked;q=1'), 400],
    ['quoted', framed('1.1', 'Transfer-Encoding: "chunked"'), 400],
    ['a longer word', framed('1.1', 'Transfer-Encoding: xchunked'), 501],
    ['behind a vertical tab', framed('1.1', 'Transfer-Encoding: \vchunked'), 400],
    ['behind another coding', framed('1.1', 'Transfer-Encoding: gzip, chunked'), 501],
    ['behind another line', framed('1.1', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'), 501],
    ['behind identity', framed('1.1', 'Transfer-Encoding: identity, chunked'), 501],
  ])
})

t.test('TE in HTTP/1.0: 400', async (t) => {
  await holdRefusals(t, [
    ['alone', framed('1.0', 'Transfer-Encoding: chunked'), 400],
    ['on a connection to be kept', framed('1.0', 'Connection: keep-alive', 'Transfer-Encoding: chunked'), 400],
  ])
})

t.test('and what is well framed arrives, framed once', async (t) => {
  const { url, upstream } = await startThrough(t)
  const client = await openClient(t, url)
  for (const field of ['Transfer-Encoding: chunked', 'TRANSFER-ENCODING:\tChunked ', 'Content-Length: 0013']) {
    client.write(framed('1.1', field), get('/next'))
    t.equal((await client.answer()).status, 200, field)
    t.equal((await client.answer()).status, 200, field)
  }
  t.same(
    upstream.seen.map(({ body }) => body.toString()),
    ['abc', '', 'abc', '', AMBIGUOUS, ''],
  )
  for (const { all } of upstream.seen) t.ok(all('content-length').length + all('transfer-encoding').length <= 1)
  t.equal(upstream.seen[4]!.one('content-length'), '13', 'as its decimal value')
})
