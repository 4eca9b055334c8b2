import { type Fields, lowerCaseName } from '../http/fields.ts'
import { COLON, CR, IS_TEXT, IS_TOKEN, isSpace, LF } from './characters.ts'
import { MALFORMED, MORE, type StartLine } from './start-line.ts'

const EMPTY = Buffer.alloc(0)

/** Above either, a section is refused as `too_large`. */
export type SectionLimits = { readonly maxBytes: number; readonly maxHeaders: number }

/** `more`: the section goes on behind these bytes. */
export type SectionOutcome = 'done' | 'more' | 'malformed' | 'too_large'

/**
 * Reads a start line, where there is one, and the lines of a header or trailer section (RFC 9112 sections 2 and 5) up to its empty line, however they are cut into
 * pieces. Strict: lines end with CRLF, names are tokens right before their colon, and there are no folds, no control
 * characters and no bare CR, LF or NUL in any of it, so that no two readers see different lines in what is passed on.
 */
export function createHeaderSection({ maxBytes, maxHeaders }: SectionLimits, startLine: StartLine | null) {
  /** Where the names and values are: four offsets from the section's start a field. */
  const marks: number[] = []
  /** What came of a section that is not whole yet. */
  let held: Buffer = EMPTY
  let heldLength = 0
  /** Where the next line begins, from the section's start. */
  let at = 0
  let isStartLineDue = false
  let consumed = 0
  let text = ''

  function begin(withStartLine: boolean): void {
    marks.length = 0
    heldLength = 0
    at = 0
    isStartLineDue = withStartLine
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
      if (end - base > maxBytes) return 'too_large'
      if (before === 0) hold(bytes, from, to)
      return 'more'
    }
    if (outcome !== 'done') return outcome
    if (at > maxBytes) return 'too_large'
    consumed = from + at - before
    text = source.toString('latin1', base, base + at)
    if (held.length > 0) held = EMPTY
    heldLength = 0
    return 'done'
  }

  function hold(bytes: Buffer, from: number, to: number): void {
    const size = heldLength + Math.min(to - from, maxBytes + 1 - heldLength)
    if (size > held.length) {
      const grown = Buffer.allocUnsafe(Math.max(1024, Math.min(2 * size, maxBytes + 1)))
      held.copy(grown, 0, 0, heldLength)
      held = grown
    }
    bytes.copy(held, heldLength, from, from + size - heldLength)
    heldLength = size
  }

  function scan(bytes: Buffer, base: number, end: number): SectionOutcome {
    if (isStartLineDue && startLine !== null) {
      const next = startLine.scan(bytes, base, end)
      if (next === MORE) return 'more'
      if (next === MALFORMED) return 'malformed'
      at = next - base
      isStartLineDue = false
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
      if (marks.length >= 4 * maxHeaders) return 'too_large'
      marks.push(nameStart - base, nameEnd - base, valueStart - base, valueEnd - base)
      at = i + 2 - base
    }
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
    /** The section as text, the start line included: a character is a byte. */
    text: () => text,
  }
}
