import { request as httpRequest, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { createResponseParser } from '../../src/http1/response-parser.ts'
import { fuzzSettings, piecesOf, rawResponse } from '../fixtures/raw-responses.ts'

/** What came of the bytes of one response. */
type Reading = {
  status: number
  reason: string
  fields: readonly string[]
  body: string
  trailers: readonly string[]
  information: number[]
  isWhole: boolean
  fault: string | null
  isPersistent: boolean
  /** How many bytes the response has. */
  length: number
}

function read(pieces: readonly Buffer[], method = 'GET', isEnded = true): Reading {
  const reading: Reading = {
    status: 0,
    reason: '',
    fields: [],
    body: '',
    trailers: [],
    information: [],
    isWhole: false,
    fault: null,
    isPersistent: false,
    length: 0,
  }
  const parser = createResponseParser(
    {
      onInformation: ({ status }) => void reading.information.push(status),
      onHead({ status, reason, fields }, isLast) {
        Object.assign(reading, { status, reason, fields })
        reading.isWhole = isLast
      },
      onBody(bytes, from, to, isLast) {
        reading.body += bytes.toString('latin1', from, to)
        reading.isWhole = isLast
      },
      onEnd(trailers) {
        reading.trailers = trailers?.fields ?? []
        reading.isWhole = true
      },
    },
    { maxBytes: 64 * 1024, maxHeaders: 500 },
  )
  parser.begin(method)
  for (const piece of pieces) {
    if (parser.isIdle()) break
    // As from a buffer that is read into again: nothing may be held on to.
    const buffer = Buffer.concat([piece, Buffer.alloc(8, 'z')])
    reading.fault = parser.read(buffer, piece.length)
    buffer.fill('y')
    reading.length += piece.length
    if (reading.fault !== null) return { ...reading, isWhole: false }
  }
  if (!parser.isIdle() && isEnded) reading.fault = parser.end()
  reading.isPersistent = reading.isWhole && parser.isPersistent()
  return reading
}

const whole = (text: string, method = 'GET') => read([Buffer.from(text, 'latin1')], method)

t.test('answers that upstreams give are understood', async (t) => {
  const cases: Record<string, Partial<Reading>> = {
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello': { body: 'hello', isPersistent: true },
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n': { body: '', isPersistent: true },
    'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n': { reason: '', isPersistent: true },
    'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n': { reason: '', isPersistent: true },
    'HTTP/1.1 404 Caf\xe9 au lait\r\nX:\r\ny: \t a b \t\r\nContent-Length: 0\r\n\r\n': {
      reason: 'Caf\xe9 au lait',
      fields: ['X', '', 'y', 'a b', 'Content-Length', '0'],
    },
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00A;a=b;c="d\\"";e\r\n, world!!!\r\n0\r\nX-T: 1\r\n\r\n':
      {
        body: 'hello, world!!!',
        trailers: ['X-T', '1'],
        isPersistent: true,
      },
    'HTTP/1.1 200 OK\r\nConnection: a, Close\r\nContent-Length: 1\r\n\r\na': { body: 'a', isPersistent: false },
    'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na': { body: 'a', isPersistent: false },
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na': { body: 'a', isPersistent: true },
    'HTTP/1.0 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na': {
      isPersistent: false,
    },
    'HTTP/1.1 200 OK\r\n\r\nto the end': { body: 'to the end', isPersistent: false },
    'HTTP/1.1 204 No Content\r\n\r\n': { body: '', isPersistent: true },
    'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n': { body: '', isPersistent: true },
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n': { body: '', isPersistent: false },
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n':
      {
        information: [103, 102],
        status: 200,
      },
  }
  for (const [text, wanted] of Object.entries(cases)) {
    for (const pieces of [
      [Buffer.from(text, 'latin1')],
      [...Buffer.from(text, 'latin1')].map((code) => Buffer.of(code)),
    ]) {
      t.match(read(pieces), { fault: null, isWhole: true, ...wanted }, JSON.stringify(text))
    }
  }
  t.match(whole('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 'HEAD'), { isWhole: true, isPersistent: false })
  t.match(whole('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HEAD'), { isWhole: true })
})

t.test('what could be understood in two ways is refused', async (t) => {
  const length = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n'
  const chunks = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  const cases = [
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n',
    '\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1  200 OK\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 099 OK\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.2 200 OK\r\n\r\n',
    'HTTP/2 200 OK\r\n\r\n',
    'HTTP/1.1 200 O\rK\r\n\r\n',
    `${length}Content-Length: 1\r\n\r\na`,
    `${length}Content-Length: 2\r\n\r\na`,
    `${length}content-length:1\r\n\r\na`,
    `${length}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    `${length} folded\r\n\r\na`,
    `${length}X-A : 1\r\n\r\na`,
    `${length}: 1\r\n\r\na`,
    `${length}X-A: \0\r\n\r\na`,
    `${length}X-A: a\rb\r\n\r\na`,
    `${length}X-A: a\nb: c\r\n\r\na`,
    `${length}X-\xc3\xa9: 1\r\n\r\na`,
    'HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na',
    'HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na',
    'HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\na',
    'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\na',
    'HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993\r\n\r\na',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\na',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    `${chunks}0x1\r\na\r\n0\r\n\r\n`,
    `${chunks}-1\r\na\r\n0\r\n\r\n`,
    `${chunks}1 \r\na\r\n0\r\n\r\n`,
    `${chunks}\r\na\r\n0\r\n\r\n`,
    `${chunks};a\r\na\r\n0\r\n\r\n`,
    `${chunks}1\na\r\n0\r\n\r\n`,
    `${chunks}1\r\nab\r\n0\r\n\r\n`,
    `${chunks}1\r\na\n0\r\n\r\n`,
    `${chunks}1;a="\n"\r\na\r\n0\r\n\r\n`,
    `${chunks}1;a="b\r\na\r\n0\r\n\r\n`,
    `${chunks}1000000000000\r\na`,
    `${chunks}1;${'a'.repeat(2000)}\r\na`,
    `${chunks}0\r\n folded\r\n\r\n`,
    `${chunks}0\r\nX-A: \0\r\n\r\n`,
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n'.repeat(40),
    `HTTP/1.1 200 OK\r\n${'a:\r\n'.repeat(501)}\r\n`,
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`,
    `${chunks}0\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`,
  ]
  for (const text of cases) {
    const bytes = Buffer.from(text, 'latin1')
    t.match(read([bytes], 'GET', false).fault, /malformed|too_large|switched/, JSON.stringify(text.slice(0, 100)))
    if (bytes.length > 5000) continue
    const drops = [...bytes].map((code) => Buffer.of(code))
    t.match(read(drops, 'GET', false).fault, /malformed|too_large|switched/, `${JSON.stringify(text)} byte by byte`)
  }
})

t.test('what does not end where it said is not whole', async (t) => {
  const cases: Record<string, string> = {
    '': 'terminated',
    'HTTP/1.1 200 OK\r\nX-': 'terminated',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell': 'incomplete',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n': 'incomplete',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n': 'incomplete',
  }
  for (const [text, fault] of Object.entries(cases)) t.match(whole(text), { fault, isWhole: false })
})

t.test('bytes behind the end make the connection unfit', async (t) => {
  for (const excess of ['x', '\r\n', 'HTTP/1.1 200 OK\r\n\r\n']) {
    const reading = whole(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na${excess}`)
    t.match(reading, { body: 'a', isWhole: true, isPersistent: false })
  }
})

t.test('a header that drips in costs time by its length, not by its square', async (t) => {
  const drops = [...Buffer.from(`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(60_000)}\r\nContent-Length: 0\r\n\r\n`)]
  const began = performance.now()
  t.ok(read(drops.map((code) => Buffer.of(code))).isWhole)
  t.ok(performance.now() - began < 3000)
})

/** How node's own client understands the bytes of one response, on a connection that then ends. */
function readByNode(bytes: Buffer, method: string): Promise<Reading | null> {
  return new Promise((resolve) => {
    const information: number[] = []
    const wire = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done(), final: (done) => done() })
    const request = httpRequest({ method, createConnection: () => wire, maxHeaderSize: 1 << 20 })
    request.on('information', ({ statusCode }) => information.push(statusCode))
    request.on('error', () => resolve(null))
    request.on('upgrade', () => resolve(null))
    let isAnswered = false
    request.on('response', (answer: IncomingMessage) => {
      isAnswered = true
      let body = ''
      answer.on('data', (data: Buffer) => {
        body += data.toString('latin1')
      })
      answer.on('error', () => resolve(null))
      answer.on('close', () => resolve(null))
      answer.on('end', () =>
        resolve({
          status: answer.statusCode!,
          reason: answer.statusMessage!,
          fields: answer.rawHeaders,
          body,
          trailers: answer.rawTrailers,
          information,
          isWhole: answer.complete,
          fault: null,
          isPersistent: false,
          length: bytes.length,
        }),
      )
    })
    request.on('close', () => isAnswered || resolve(null))
    request.end()
    setImmediate(() => {
      wire.push(bytes)
      wire.push(null)
    })
  })
}

const SEEN = ['status', 'reason', 'body', 'fields', 'trailers', 'information'] as const

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

t.test('nothing is accepted that node’s own client refuses, or understands in another way', async (t) => {
  const { numRuns, seed } = fuzzSettings(4000)
  let accepted = 0
  let refused = 0
  await fc.assert(
    fc.asyncProperty(rawResponse, fc.constantFrom('GET', 'GET', 'GET', 'HEAD'), async (response, method) => {
      const drops = [...response.bytes].map((code) => Buffer.of(code))
      const ours = read(drops, method)
      const inPieces = read(piecesOf(response), method)
      const isSame = (['isWhole', ...SEEN] as const).every((key) => same(inPieces[key], ours[key]))
      // Which fault it is may depend on the cuts: a line that is not whole is looked at when it is.
      if ((inPieces.fault === null) !== (ours.fault === null)) throw new Error('the cuts make a difference')
      if (ours.fault === null && !isSame) throw new Error('the cuts make a difference')
      if (ours.fault !== null) return void refused++
      accepted++
      const theirs = await readByNode(response.bytes.subarray(0, ours.length), method)
      if (theirs === null || !theirs.isWhole) throw new Error('node refuses it')
      for (const key of SEEN) {
        if (!same(ours[key], theirs[key])) throw new Error(`${key}: ${ours[key]}, and node ${theirs[key]}`)
      }
    }),
    { numRuns, seed },
  )
  t.ok(accepted > numRuns / 10, `${accepted} accepted`)
  t.ok(refused > numRuns / 10, `${refused} refused`)
})
