import t from 'tap'
import { readFieldLine, readQuestion } from '../../src/explain/question.ts'

t.test('a URL alone is a GET from this machine, to the host that it names', async (t) => {
  t.same(readQuestion({ url: '/a?b=c' }), {
    method: 'GET',
    target: '/a?b=c',
    fields: [['Host', 'localhost']],
    from: '127.0.0.1',
  })
  t.match(readQuestion({ url: 'https://api.example:8443/%2e%2e/a//b?q#f' }), {
    target: '/%2e%2e/a//b?q',
    fields: [['Host', 'api.example:8443']],
  })
  t.match(readQuestion({ url: 'http://api.example' }), { target: '/' })
  t.same(readQuestion({ url: '/', headers: { host: 'b' } }).fields, [['host', 'b']])
})

t.test('fields keep their order and repetitions where they come as a list', async (t) => {
  const headers = [
    ['A', '1'],
    ['a', '2'],
    ['Host', 'h'],
  ]
  t.same(readQuestion({ url: '/', headers }).fields, headers)
  t.same(readFieldLine('X-A:  b: c '), ['X-A', 'b: c'])
})

const BAD: readonly (readonly [unknown, string])[] = [
  ['x', `'x' is not a request; write {"url": "/path", "method": "GET", "headers": {}}`],
  [{ url: '/', path: '/' }, `'path' is not part of a request; write method, url, headers, from`],
  [{}, 'url: nothing is not a URL; write /path or https://host/path'],
  [{ url: 'ftp://x' }, `url: 'ftp://x' is not a URL; write /path or https://host/path`],
  [{ url: '/', method: 'G T' }, `method: 'G T' is not a method; write one such as GET or POST`],
  [
    { url: '/', from: '010.0.0.1' },
    `from: '010.0.0.1' is not an address; write one such as 203.0.113.9 or 2001:db8::1`,
  ],
  [{ url: '/', headers: [['a']] }, `headers[0] is not a field; write {"Name": "value"} or [["Name", "value"]]`],
  [{ url: '/', headers: { a: 1 } }, `headers[0] is not a field; write {"Name": "value"} or [["Name", "value"]]`],
  [{ url: '/', headers: { a: 'b\nc: d' } }, `headers: 'a' has a line break, or what is no byte; write one line`],
  // Cut to a byte, these would be a line break.
  [
    { url: '/', headers: { a: 'b\u010d\u010ac: d' } },
    `headers: 'a' has a line break, or what is no byte; write one line`,
  ],
  [
    { url: '/ HTTP/1.1\r\nX: y' },
    `url: '/ HTTP/1.1··X: y' has a line break, or what is no byte; write it percent-encoded`,
  ],
  [{ url: '/\u010a' }, `url: '/Ċ' has a line break, or what is no byte; write it percent-encoded`],
  [
    { url: `ftp://${'x'.repeat(200)}` },
    `url: 'ftp://${'x'.repeat(71)}...' is not a URL; write /path or https://host/path`,
  ],
]

for (const [given, message] of BAD) {
  t.test(message, async (t) => {
    t.throws(() => readQuestion(given), { code: 'usage', message })
  })
}

t.test('a header line without a colon', async (t) => {
  // What was meant for one may be a token: it is not shown.
  const message = `a header line has no name before a colon; write 'Name: value'`
  t.throws(() => readFieldLine('abc'), { code: 'usage', message })
})
