import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { answer, startDemo } from './demo-under-test.ts'

t.test('a request is shown as it arrived: order, case and duplicates kept', async (t) => {
  const { url } = await startDemo(t)
  const sent = request(`${url}/echo/a%2Fb?x=%zz&y`, {
    method: 'POST',
    headers: [
      'Host',
      'a.example',
      'X-Dup',
      '1',
      'x-dup',
      '2',
      'X-CASE',
      'Kept',
      'Cookie',
      'a=1',
      'Cookie',
      'b=2',
      'Content-Length',
      '6',
    ],
  })
  sent.end('héllo')
  const found = await read(sent)
  t.match(found, { method: 'POST', url: '/echo/a%2Fb?x=%zz&y', http_version: '1.1', body: 'héllo', body_length: 6 })
  t.match(found.headers, { 'x-dup': '1, 2', cookie: 'a=1; b=2', host: 'a.example' })
  t.match(found.raw_headers, [
    ['Host', 'a.example'],
    ['X-Dup', '1'],
    ['x-dup', '2'],
    ['X-CASE', 'Kept'],
    ['Cookie', 'a=1'],
    ['Cookie', 'b=2'],
    ['Content-Length', '6'],
  ])
})

t.test('any method is echoed', async (t) => {
  const { url } = await startDemo(t)
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE', 'M-SEARCH']) {
    const sent = request(`${url}/echo`, { method })
    sent.end()
    t.match(await read(sent), { method, url: '/echo', body: '', body_length: 0 })
  }
  const head = await answer(fetch(`${url}/echo`, { method: 'HEAD' }))
  t.equal(head.status, 200)
  t.equal(head.text, '')
})

t.test('a body of any method is shown, GET and DELETE too', async (t) => {
  const { url } = await startDemo(t)
  for (const method of ['GET', 'DELETE']) {
    const sent = request(`${url}/echo`, { method, headers: { 'content-length': 4 } })
    sent.end('body')
    t.match(await read(sent), { method, body: 'body', body_length: 4 })
  }
})

t.test('trailers are shown', async (t) => {
  const { url } = await startDemo(t)
  const sent = request(`${url}/echo`, { method: 'POST', headers: { 'transfer-encoding': 'chunked', trailer: 'X-Sum' } })
  sent.addTrailers({ 'X-Sum': 'abc' })
  sent.end('body')
  t.same((await read(sent)).raw_trailers, [['X-Sum', 'abc']])
})

t.test('a body above 64 KiB is counted, not kept', async (t) => {
  const { url } = await startDemo(t)
  for (const [length, kept] of [
    [65_536, true],
    [65_537, false],
    [3_000_000, false],
  ] as const) {
    const { json } = await answer(fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(length) }))
    t.equal(json.body_length, length)
    t.equal(json.body?.length, kept ? length : undefined)
  }
})

async function read(sent: ReturnType<typeof request>) {
  const received = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve)
    sent.on('error', reject)
  })
  return JSON.parse(await text(received))
}
