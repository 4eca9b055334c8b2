import { randomBytes } from 'node:crypto'

/** Follows the frames of one direction of a WebSocket (RFC 6455 section 5.2) by their headers; payloads are skipped. */
export type FrameReader = {
  /** Reads on in the next bytes from `at`; gives where the frame under way ends in them, or -1 where it does not. */
  frameEnd(bytes: Buffer, at: number): number
  /** Whether the next byte begins a frame. */
  isBetweenFrames(): boolean
  /** Whether these bytes are no frames, so that nobody knows where one would end. */
  isBroken(): boolean
  /** Whether a Close frame has begun: after it the sender sends none. */
  hasClosed(): boolean
}

const CLOSE = 0x8
const MAX_HEADER = 14

export function createFrameReader(): FrameReader {
  const header = Buffer.alloc(MAX_HEADER)
  let has = 0
  let needs = 2
  /** Of the payload; -1 while the header is not whole. */
  let missing = -1
  let isBroken = false
  let hasClosed = false

  function frameEnd(bytes: Buffer, from: number): number {
    let at = from
    while (!isBroken && missing === -1) {
      if (at === bytes.length) return -1
      header[has++] = bytes[at++]!
      if (has === 2) begin()
      if (has === needs) missing = payloadLength()
    }
    if (isBroken || missing > bytes.length - at) {
      missing -= bytes.length - at
      return -1
    }
    at += missing
    has = 0
    needs = 2
    missing = -1
    return at
  }

  function begin(): void {
    const opcode = header[0]! & 0x0f
    const length = header[1]! & 0x7f
    isBroken = (opcode > 0x2 && opcode < CLOSE) || opcode > 0xa || (opcode >= CLOSE && length > 125)
    hasClosed ||= opcode === CLOSE
    const lengthBytes = length === 127 ? 8 : length === 126 ? 2 : 0
    needs = 2 + lengthBytes + (header[1]! & 0x80 ? 4 : 0)
  }

  function payloadLength(): number {
    const length = header[1]! & 0x7f
    if (length < 126) return length
    if (length === 126) return header.readUInt16BE(2)
    // The first bit must be 0; beyond 2^53 no number here is exact.
    if (header.readUInt32BE(2) >= 0x200000) isBroken = true
    return header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6)
  }

  return {
    frameEnd,
    isBetweenFrames: () => has === 0 && missing === -1 && !isBroken,
    isBroken: () => isBroken,
    hasClosed: () => hasClosed,
  }
}

/** A Close frame of code 1001, going away (section 7.4.1). What a client sends is masked (section 5.3). */
export function goingAway(sender: 'client' | 'server'): Buffer {
  const code = Buffer.from([1001 >> 8, 1001 & 0xff])
  if (sender === 'server') return Buffer.from([0x80 | CLOSE, code.length, ...code])
  const mask = randomBytes(4)
  return Buffer.from([0x80 | CLOSE, 0x80 | code.length, ...mask, ...code.map((byte, i) => byte ^ mask[i]!)])
}
