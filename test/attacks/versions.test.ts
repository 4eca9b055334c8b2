import t from 'tap'
import { openClient } from '../fixtures/raw-client.ts'
import { holdRefusals, isProblem, startThrough } from '../fixtures/through.ts'

t.test('HTTP/0.9, HTTP/9.9, h2 preface -> 400/505, no hang', async (t) => {
  await holdRefusals(t, [
    ['HTTP/0.9, as it was', 'GET /\r\n\r\n', 505],
    ['HTTP/0.9, by name', 'GET / HTTP/0.9\r\nHost: a\r\n\r\n', 505],
    ['HTTP/9.9', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n', 400],
    ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 400],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
    ['HTTP/1.01', 'GET / HTTP/1.01\r\nHost: a\r\n\r\n', 400],
    ['in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n', 400],
    ['another protocol', 'GET / ICY/1.0\r\nHost: a\r\n\r\n', 400],
    ['RTSP, of its own methods', 'DESCRIBE rtsp://a/ RTSP/1.0\r\nHost: a\r\n\r\n', 505],
    ['RTSP, of a method of HTTP', 'GET / RTSP/1.0\r\nHost: a\r\n\r\n', 505],
    ['RTSP, a POST', 'POST /a RTSP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx', 505],
    ['RTSP, of no resource', 'OPTIONS * RTSP/1.0\r\nHost: a\r\n\r\n', 505],
    ['Icecast', 'SOURCE /a ICE/1.0\r\nHost: a\r\n\r\n', 505],
    ['the h2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
  ])
})

t.test('half a request line of HTTP/0.9 hangs no longer than header_timeout', async (t) => {
  const { url, upstream } = await startThrough(t, { server: { headerTimeout: 200 } })
  const client = await openClient(t, url)
  client.write('GET /\r\n')
  isProblem(t, await client.answer(), 408)
  await client.closed()
  t.equal(upstream.seen.length, 0)
})
