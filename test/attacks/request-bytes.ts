import fc from 'fast-check'

/** What a fuzzed client does on one connection. Text is latin1: a character is a byte. */
export type Script = {
  readonly segments: readonly string[]
  /** Where the bytes are cut into writes, in thousandths of their length. */
  readonly cuts: readonly number[]
  readonly ending: Ending
}

/**
 * How it goes on when all is written: with one more request that ends the connection, with half of one, by waiting, or by
 * leaving at once or when something has been answered.
 */
export type Ending = 'last request' | 'half a request' | 'wait' | 'end' | 'destroy' | 'destroy later'

const METHODS = ['GET', 'GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'POST', 'PUT', 'PATCH', 'QUERY']
const TARGETS = [
  ...['/', '/a', '/a/b?c=d', '/limited', '/denied', '/denied/../a', '/a/%2e%2e/denied', '//denied', '/a%2Fb', '/;x=1'],
  ...['/__proto__', 'http://b/a', 'http://b', 'HTTP://b:80/denied', '*', '/a#b', '/a\\b', '/%zz', '/%00', '/\xff', ''],
]
const FIELDS = [
  ...['Accept: */*', 'X-A: b', 'x-a: c', 'Cookie: a=b', '__proto__: x', 'constructor: x', 'X-Empty:', 'X: \xff'],
  ...['Connection: keep-alive', 'Connection: close', 'Connection: X-A, Content-Length, Host, Authorization'],
  ...[
    'Connection: Transfer-Encoding',
    'Keep-Alive: timeout=5',
    'TE: trailers',
    'Trailer: X-T',
    'Proxy-Connection: close',
  ],
  ...['Authorization: Bearer a.b.c', 'Authorization: Basic YTpi', 'Expect: 100-continue', 'Expect: 200-ok'],
  ...['X-Forwarded-For: 192.0.2.1', 'X_Forwarded_For: 192.0.2.1', 'Forwarded: for=192.0.2.1', 'X-Real-IP: 192.0.2.1'],
  ...[
    'Origin: https://a.example',
    'Host: second',
    'Max-Forwards: 0',
    'Via: 1.1 a',
    'Range: bytes=0-',
    'Content_Length: 9',
  ],
]
const SMUGGLING = [
  ...[
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding: gzip, chunked',
    'Content-Length: 0',
  ],
  ...[
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding:\vchunked',
    'Content-Length: 3',
  ],
  ...[
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding\t: chunked',
    ' Transfer-Encoding: chunked',
    'Content-Length: 5, 5',
  ],
  ...[
    'X: y\rTransfer-Encoding: chunked',
    'X: y\nTransfer-Encoding: chunked',
    'Transfer_Encoding: chunked',
    'Content-Length: +3',
  ],
  ...[
    'Content-Length\0: 3',
    'Content-Length: -1',
    'Content-Length: 0x10',
    'Content-Length: 4\r\n 4',
    'Content-Length: 00',
  ],
]
const UPGRADES = [
  [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ],
  ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
  ['Connection: Upgrade', 'Upgrade: websocket, h2c'],
  ['Connection: upgrade', 'Upgrade: TLS/1.0'],
  ['Upgrade: websocket'],
  ['Connection: Upgrade'],
]
const ODD = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  '\v',
  '\x7f',
  '\x80',
  ';',
  ',',
  '"',
  '0',
  'f',
  '-',
  '\\',
  '%',
  '/',
  '\r\n\r\n',
]
const GARBAGE = [
  ...[
    'GET /\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03',
    '\r\n\r\n',
    '\0\0\0\0',
    'GET',
  ],
  ...[
    'GET / HTTP/9.9\r\nHost: a\r\n\r\n',
    'GET / HTTP/2.0\r\nHost: a\r\n\r\n',
    'GET / RTSP/1.0\r\nHost: a\r\n\r\n',
    '0\r\n\r\n',
  ],
]
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n'

const version = fc.oneof({ weight: 9, arbitrary: fc.constant('1.1') }, { weight: 1, arbitrary: fc.constant('1.0') })
const body = fc.constantFrom('', 'a', 'abcde', HIDDEN, 'x'.repeat(2000), `0\r\n\r\n${HIDDEN}`)

/** Chunks, now and then with what a chunk must not be. */
const chunked = fc
  .tuple(fc.array(body, { maxLength: 3 }), fc.constantFrom('', '', ';a=b', ';a="b\n"', ' ', '\0'), trailer())
  .map(([parts, extension, end]) => {
    const chunks = parts
      .filter((part) => part !== '')
      .map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`)
    return `${chunks.join('')}${end}`
  })

function trailer() {
  const odd = [
    '0\r\nX-T: a\r\n\r\n',
    '0\r\nContent-Length: 5\r\n\r\n',
    '00\r\n\r\n',
    '-1\r\n\r\n',
    '0x0\r\n\r\n',
    'ffffffffffffffffff\r\n',
  ]
  const fine = fc.constant('0\r\n\r\n')
  return fc.oneof({ weight: 5, arbitrary: fine }, { weight: 1, arbitrary: fc.constantFrom(...odd, '0\n\n', '') })
}

const framed = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ field: [] as string[], bytes: '' }) },
  { weight: 3, arbitrary: body.map((bytes) => ({ field: [`Content-Length: ${bytes.length}`], bytes })) },
  { weight: 3, arbitrary: chunked.map((bytes) => ({ field: ['Transfer-Encoding: chunked'], bytes })) },
  // A length that is not the body's: what follows is taken for its rest, or its rest for a request.
  { weight: 1, arbitrary: body.map((bytes) => ({ field: ['Content-Length: 7'], bytes })) },
)

const valid = fc
  .record({
    method: fc.constantFrom(...METHODS),
    target: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('/', '/a') },
      { weight: 1, arbitrary: fc.constantFrom(...TARGETS) },
    ),
    version,
    fields: fc.oneof(
      { weight: 2, arbitrary: fc.constant<string[]>([]) },
      { weight: 1, arbitrary: fc.subarray(FIELDS, { maxLength: 3 }) },
    ),
    framed,
  })
  .map(({ method, target, version, fields, framed: { field, bytes } }) =>
    [`${method} ${target} HTTP/${version}`, 'Host: a', ...fields, ...field, '', bytes].join('\r\n'),
  )

/** Nothing to object to. */
const plain = fc
  .record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE'),
    target: fc.constantFrom('/', '/a?b', '/c', '/d', '/e/f', '/limited', '/denied'),
    isChunked: fc.boolean(),
    bytes: body,
  })
  .map(({ method, target, isChunked, bytes }) => {
    const size = bytes.length.toString(16)
    const framed =
      isChunked && bytes !== '' ? `Transfer-Encoding: chunked\r\n\r\n${size}\r\n${bytes}\r\n0\r\n\r\n` : null
    return `${method} ${target} HTTP/1.1\r\nHost: a\r\n${framed ?? `Content-Length: ${bytes.length}\r\n\r\n${bytes}`}`
  })

const smuggling = fc
  .record({
    method: fc.constantFrom('GET', 'POST'),
    fields: fc.subarray(SMUGGLING, { minLength: 1, maxLength: 3 }),
    chunked,
    version,
  })
  .map(({ method, fields, chunked, version }) =>
    [`${method} /a HTTP/${version}`, 'Host: a', ...fields, '', chunked].join('\r\n'),
  )

const upgrade = fc
  .record({ method: fc.constantFrom('GET', 'GET', 'POST', 'CONNECT'), fields: fc.constantFrom(...UPGRADES), framed })
  .map(({ method, fields, framed: { field, bytes } }) =>
    [`${method} ${method === 'CONNECT' ? 'a:443' : '/a'} HTTP/1.1`, 'Host: a', ...fields, ...field, '', bytes].join(
      '\r\n',
    ),
  )

/** One small wound: bytes dropped, doubled, put in or exchanged. */
const mutated = fc
  .tuple(
    fc.oneof(valid, smuggling),
    fc.nat(),
    fc.constantFrom('drop', 'double', 'put', 'exchange', 'cut'),
    fc.constantFrom(...ODD),
  )
  .map(([request, place, wound, odd]) => {
    const at = place % request.length
    const rest = request.slice(at + 1)
    switch (wound) {
      case 'drop':
        return request.slice(0, at) + rest
      case 'double':
        return request.slice(0, at + 1) + request.slice(at)
      case 'put':
        return request.slice(0, at) + odd + request.slice(at)
      case 'exchange':
        return request.slice(0, at) + odd + rest
      default:
        return request.slice(0, at)
    }
  })

const garbage = fc.oneof(
  fc.constantFrom(...GARBAGE),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
)

/** A tunnel asked for as it should be, and what goes into it. */
const handshake = garbage.map((bytes) => ['GET /a HTTP/1.1', 'Host: a', ...UPGRADES[0]!, '', bytes].join('\r\n'))

const odd = fc.oneof(
  { weight: 3, arbitrary: mutated },
  { weight: 2, arbitrary: smuggling },
  { weight: 2, arbitrary: upgrade },
  { weight: 1, arbitrary: handshake },
  { weight: 1, arbitrary: garbage },
)

/**
 * Scripts of up to 9 requests: plain ones first, for a refusal often ends the connection, then odd ones (nearly valid, shaped
 * to smuggle, upgrades and CONNECT, and what is no request at all) among valid ones.
 */
export const scripts: fc.Arbitrary<Script> = fc.record({
  segments: fc
    .tuple(
      fc.array(plain, { maxLength: 4 }),
      fc.array(fc.oneof(valid, odd), { minLength: 1, maxLength: 4 }),
      fc.array(plain, { maxLength: 1 }),
    )
    .map((parts) => parts.flat()),
  cuts: fc.array(fc.nat(1000), { maxLength: 5 }),
  ending: fc.oneof(
    { weight: 12, arbitrary: fc.constant<Ending>('last request') },
    { weight: 4, arbitrary: fc.constantFrom<Ending>('half a request', 'wait', 'end', 'destroy', 'destroy later') },
  ),
})
