import { CR, IS_TEXT, LF, SPACE } from './characters.ts'
import { MALFORMED, MORE, type StartLine } from './start-line.ts'

const PREFIX = Buffer.from('HTTP/1.')

/** The status line of a response (RFC 9112 section 4). */
export type StatusLine = StartLine & {
  /** What the last line said, given the text that begins with it; `reason` may be empty. */
  last(text: string): { readonly status: number; readonly reason: string; readonly isVersion11: boolean }
}

/** Reads `HTTP/1.x nnn reason`. Some servers leave out the space before an empty reason: that is accepted. */
export function createStatusLine(): StatusLine {
  let isVersion11 = false
  let status = 0
  let reasonStart = 0
  let reasonEnd = 0

  function scan(bytes: Buffer, from: number, to: number): number {
    for (let i = 0; i < PREFIX.length; i++) {
      if (from + i >= to) return MORE
      if (bytes[from + i] !== PREFIX[i]) return MALFORMED
    }
    if (from + 13 >= to) return MORE
    const minor = bytes[from + 7]! - 0x30
    if ((minor !== 0 && minor !== 1) || bytes[from + 8] !== SPACE) return MALFORMED
    status = 0
    for (let i = from + 9; i < from + 12; i++) {
      const digit = bytes[i]! - 0x30
      if (digit < 0 || digit > 9) return MALFORMED
      status = status * 10 + digit
    }
    if (status < 100) return MALFORMED
    let i = from + 12
    if (bytes[i] === SPACE) i++
    else if (bytes[i] !== CR) return MALFORMED
    const start = i
    while (i < to && IS_TEXT[bytes[i]!] === 1) i++
    if (i + 1 >= to) return i < to && bytes[i] !== CR ? MALFORMED : MORE
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return MALFORMED
    reasonStart = start - from
    reasonEnd = i - from
    isVersion11 = minor === 1
    return i + 2
  }

  return { scan, last: (text) => ({ status, reason: text.slice(reasonStart, reasonEnd), isVersion11 }) }
}
