import { type Fields, lowerCaseName } from '../../http/fields.ts'

/** More than this of a header or a trailer section is refused. */
const MAX_BYTES = 64 * 1024
const MAX_FIELDS = 500

const HTAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a
const EMPTY = Buffer.alloc(0)

/** `more`: the section goes on behind these bytes. */
export type SectionOutcome = 'done' | 'more' | 'malformed' | 'too_large'

/**
 * Reads the lines of a header or trailer section (RFC 9112 sections 4 and 5) up to its empty line, however they are cut into
 * pieces. Strict: lines end with CRLF, names are tokens right before their colon, and there are no folds, no control
 * characters and no bare CR, LF or NUL in any of it, so that no two readers see different lines in what is passed on.
 */
export function createFieldSection() {
  /** Where the names and values are: four offsets from the section's start a field. */
  const marks: number[] = []
  /** What came of a section that is not whole yet. */
  let held: Buffer = EMPTY
  let heldLength = 0
  /** Where the next line begins, from the section's start. */
  let at = 0
  let isStatusLineDue = false
  let isVersion11 = false
  let status = 0
  let reasonStart = 0
  let reasonEnd = 0
  let consumed = 0
  let text = ''

  function begin(withStatusLine: boolean): void {
    marks.length = 0
    heldLength = 0
    at = 0
    isStatusLineDue = withStatusLine
  }

  /** Takes the bytes between two offsets; when done, `consumed` is the offset behind the section. */
  function read(bytes: Buffer, from: number, to: number): SectionOutcome {
    const before = heldLength
    if (before > 0) hold(bytes, from, to)
    const [source, base, end] = before > 0 ? [held, 0, heldLength] : [bytes, from, to]
    // A line is looked at when it is whole: one that drips in is not read over and over.
    const isWorthwhile = before === 0 || source.subarray(before, end).includes(LF)
    const outcome = isWorthwhile ? scan(source, base, end) : 'more'
    if (outcome === 'more') {
      if (end - base > MAX_BYTES) return 'too_large'
      if (before === 0) hold(bytes, from, to)
      return 'more'
    }
    if (outcome !== 'done') return outcome
    if (at > MAX_BYTES) return 'too_large'
    consumed = from + at - before
    text = source.toString('latin1', base, base + at)
    if (held.length > 0) held = EMPTY
    heldLength = 0
    return 'done'
  }

  function hold(bytes: Buffer, from: number, to: number): void {
    const size = heldLength + Math.min(to - from, MAX_BYTES + 1 - heldLength)
    if (size > held.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, Math.min(2 * size, MAX_BYTES + 1)))
      held.copy(grown, 0, 0, heldLength)
      held = grown
    }
    bytes.copy(held, heldLength, from, from + size - heldLength)
    heldLength = size
  }

  function scan(bytes: Buffer, base: number, end: number): SectionOutcome {
    if (isStatusLineDue) {
      const outcome = scanStatusLine(bytes, base, end)
      if (outcome !== 'done') return outcome
      isStatusLineDue = false
    }
    for (;;) {
      let i = base + at
      if (i >= end) return 'more'
      if (bytes[i] === CR) {
        if (i + 1 >= end) return 'more'
        if (bytes[i + 1] !== LF) return 'malformed'
        at = i + 2 - base
        return 'done'
      }
      const nameStart = i
      while (i < end && IS_TOKEN[bytes[i]!] === 1) i++
      const nameEnd = i
      if (i >= end) return 'more'
      if (i === nameStart || bytes[i] !== COLON) return 'malformed'
      i++
      while (i < end && isSpace(bytes[i]!)) i++
      const valueStart = i
      while (i < end && IS_TEXT[bytes[i]!] === 1) i++
      let valueEnd = i
      if (i >= end) return 'more'
      if (bytes[i] !== CR) return 'malformed'
      if (i + 1 >= end) return 'more'
      if (bytes[i + 1] !== LF) return 'malformed'
      while (valueEnd > valueStart && isSpace(bytes[valueEnd - 1]!)) valueEnd--
      if (marks.length >= 4 * MAX_FIELDS) return 'too_large'
      marks.push(nameStart - base, nameEnd - base, valueStart - base, valueEnd - base)
      at = i + 2 - base
    }
  }

  /** `HTTP/1.x nnn reason`; servers are known that leave out the space where there is no reason. */
  function scanStatusLine(bytes: Buffer, base: number, end: number): SectionOutcome {
    for (let i = 0; i < VERSION.length; i++) {
      if (base + i >= end) return 'more'
      if (bytes[base + i] !== VERSION[i]) return 'malformed'
    }
    if (base + 13 >= end) return 'more'
    const minor = bytes[base + 7]! - 0x30
    if ((minor !== 0 && minor !== 1) || bytes[base + 8] !== SPACE) return 'malformed'
    status = 0
    for (let i = base + 9; i < base + 12; i++) {
      const digit = bytes[i]! - 0x30
      if (digit < 0 || digit > 9) return 'malformed'
      status = status * 10 + digit
    }
    if (status < 100) return 'malformed'
    let i = base + 12
    if (bytes[i] === SPACE) i++
    else if (bytes[i] !== CR) return 'malformed'
    reasonStart = i - base
    while (i < end && IS_TEXT[bytes[i]!] === 1) i++
    if (i + 1 >= end) return i < end && bytes[i] !== CR ? 'malformed' : 'more'
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return 'malformed'
    reasonEnd = i - base
    isVersion11 = minor === 1
    at = i + 2 - base
    return 'done'
  }

  function fields(): Fields {
    const fields: string[] = []
    const names: string[] = []
    for (let i = 0; i < marks.length; i += 4) {
      const name = text.slice(marks[i]!, marks[i + 1]!)
      fields.push(name, text.slice(marks[i + 2]!, marks[i + 3]!))
      names.push(lowerCaseName(name))
    }
    return { fields, names }
  }

  return {
    begin,
    read,
    fields,
    consumed: () => consumed,
    /** Whether anything of the section has come. */
    hasBegun: () => heldLength > 0,
    statusLine: () => ({ status, reason: text.slice(reasonStart, reasonEnd), isVersion11 }),
  }
}

const VERSION = Buffer.from('HTTP/1.')

/** Characters of a token (RFC 9110 section 5.6.2), and those that may stand in a value (section 5.5) or a reason. */
const IS_TOKEN = tableOf((code) => /[\w!#$%&'*+\-.^`|~]/.test(String.fromCharCode(code)) && code < 0x7f)
const IS_TEXT = tableOf((code) => code === HTAB || (code >= SPACE && code !== 0x7f))

function tableOf(holds: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (holds(code) ? 1 : 0))
}

function isSpace(code: number): boolean {
  return code === SPACE || code === HTAB
}
