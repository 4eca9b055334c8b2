import { CR, LF } from './characters.ts'

const SEMICOLON = 0x3b
/** Sizes up to 2^48; more digits than that are no chunk that anybody sends. */
const MAX_DIGITS = 12
const MAX_EXTENSION_BYTES = 1024
/** RFC 9112 section 7.1.1, without the "bad" white space. */
const EXTENSIONS =
  /^(?:;[\w!#$%&'*+\-.^`|~]+(?:=(?:[\w!#$%&'*+\-.^`|~]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)+$/

const DIGITS = 0
const EXTENSION = 1
const END = 2

/** Reads the line before a chunk (RFC 9112 section 7.1), however it is cut. Extensions must be well-formed, and are dropped. */
export function createChunkSize() {
  let state = DIGITS
  let size = 0
  let digits = 0
  let extension = ''

  function begin(): void {
    state = DIGITS
    size = 0
    digits = 0
    extension = ''
  }

  /** Takes the bytes between two offsets; gives the offset behind the line, -1 when it goes on, -2 when it is malformed. */
  function read(bytes: Buffer, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      const code = bytes[i]!
      if (state === END) return code === LF ? i + 1 : -2
      if (code === CR) {
        if (digits === 0 || (state === EXTENSION && !EXTENSIONS.test(extension))) return -2
        state = END
      } else if (state === EXTENSION || (code === SEMICOLON && digits > 0)) {
        state = EXTENSION
        extension += String.fromCharCode(code)
        if (extension.length > MAX_EXTENSION_BYTES) return -2
      } else {
        const digit = hexDigit(code)
        if (digit === -1 || ++digits > MAX_DIGITS) return -2
        size = size * 16 + digit
      }
    }
    return -1
  }

  return { begin, read, size: () => size }
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
