import fc from 'fast-check'
import t from 'tap'
import { createFrameReader, goingAway } from '../../src/proxy/websocket-frames.ts'

type Frame = { readonly opcode: number; readonly length: number; readonly isMasked: boolean }

/** RFC 6455 section 5.2, written down a second time. */
function encode({ opcode, length, isMasked }: Frame): Buffer {
  const mask = isMasked ? 0x80 : 0
  const head =
    length < 126
      ? [length | mask]
      : length < 65_536
        ? [126 | mask, length >> 8, length & 255]
        : [127 | mask, 0, 0, 0, 0, ...Buffer.from(new Uint32Array([length]).buffer).reverse()]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head]), Buffer.alloc((isMasked ? 4 : 0) + length, 0xff)])
}

const data = fc.record({
  opcode: fc.constantFrom(0, 1, 2),
  length: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(125, 126, 127, 65_535, 65_536, 70_000)),
  isMasked: fc.boolean(),
})
const control = fc.record({
  opcode: fc.constantFrom(9, 10),
  length: fc.integer({ min: 0, max: 125 }),
  isMasked: fc.boolean(),
})

t.test('the end of each frame is found, however the bytes are cut', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(data, control), { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.oneof(fc.constantFrom(1, 2, 3), fc.integer({ min: 1, max: 9000 }))),
      (frames, sizes) => {
        const encoded = frames.map(encode)
        const wanted = encoded.map((_, i) => Buffer.concat(encoded.slice(0, i + 1)).length)
        const whole = Buffer.concat(encoded)
        const reader = createFrameReader()
        const found: number[] = []
        for (let start = 0; start < whole.length; ) {
          const bytes = whole.subarray(start, start + sizes.next().value!)
          for (let at = 0; at !== -1 && at < bytes.length; ) {
            at = reader.frameEnd(bytes, at)
            if (at !== -1) found.push(start + at)
            if (reader.isBetweenFrames() !== (at !== -1)) return false
          }
          start += bytes.length
        }
        return found.join() === wanted.join() && !reader.isBroken() && !reader.hasClosed()
      },
    ),
    { seed: 20261122, numRuns: 300 },
  )
})

t.test('what is no WebSocket is told, and stays so', async (t) => {
  const cases = {
    'a reserved opcode': [0x83, 0],
    'another one': [0x8b, 0],
    'text of another protocol': [...Buffer.from('last words')],
    'a long control frame': [0x89, 126, 0, 200],
    'a length that no number holds': [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1],
  }
  for (const [name, bytes] of Object.entries(cases)) {
    const reader = createFrameReader()
    t.equal(reader.frameEnd(Buffer.from(bytes), 0), -1, name)
    t.ok(reader.isBroken(), name)
    t.notOk(reader.isBetweenFrames(), name)
    t.equal(reader.frameEnd(Buffer.from([0x81, 0]), 0), -1, name)
  }
})

t.test('a Close frame is seen from its header on', async (t) => {
  const reader = createFrameReader()
  const bytes = goingAway('client')
  reader.frameEnd(bytes.subarray(0, 1), 0)
  t.notOk(reader.hasClosed())
  t.equal(reader.frameEnd(bytes.subarray(1), 0), bytes.length - 1)
  t.ok(reader.hasClosed())
})

t.test('ours says 1001, masked towards a server', async (t) => {
  t.same([...goingAway('server')], [0x88, 2, 0x03, 0xe9])
  const masked = goingAway('client')
  t.same([...masked.subarray(0, 2)], [0x88, 0x82])
  t.same([masked[6]! ^ masked[2]!, masked[7]! ^ masked[3]!], [0x03, 0xe9])
})
