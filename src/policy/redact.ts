import { hideUserinfo } from './url.ts'

/** A part of the text, as offsets. */
export type Span = { readonly start: number; readonly end: number }

const SECRET_WORD = /secret|secert|sercet|token|passw|pasw|pwd|credential|private|bearer/i
/** Beside those whose names say so. */
const CREDENTIAL_FIELD = /authorization|cookie|key$/i
const HARMLESS_WORD = /(_file|_header|_dir)$/i
const MAX_LINE = 200
/** Shorter texts are too common to be taken out of sentences. */
const MIN_SECRET = 6
/** Stands for an indentation: a quote or a bracket is open, and goes on until the next key of the top level. */
const OPEN = -1

/** A value that is nothing but a variable: the name may be shown. */
const VARIABLE_ALONE = /^["']?\$\{\w+(:-)?\}["']?\s*$/

/** Whether a key, also a misspelled one, is likely to hold a secret. */
export function isSecretKey(key: string): boolean {
  return SECRET_WORD.test(key) && !HARMLESS_WORD.test(key)
}

/** The value that a match wants of a header field; hidden where such a field bears a credential. */
export function shownValue({ name, value }: { readonly name: string; readonly value: string }): string {
  return value !== '' && isCredentialField(name) ? '***' : value
}

/** Whether a header field is likely to bear a credential. */
export function isCredentialField(name: string): boolean {
  return isSecretKey(name) || CREDENTIAL_FIELD.test(name)
}

/**
 * Shows lines of a policy with everything secret cut off. Three nets: the places of the values under secret keys; lines
 * that look as if they belonged to such a key, for files too broken to have places; and known secrets wherever they are.
 */
export function createRedactor(text: string, spans: readonly Span[], secrets: readonly string[]) {
  const lines = text.split('\n')
  const cuts = cutsByLook(lines)
  const known = secrets
    .flatMap((secret) => [secret, ...secret.split('\n')])
    .filter((secret) => secret.trim().length >= MIN_SECRET)
    .sort((a, b) => b.length - a.length)

  /** Text without user names and passwords in addresses, and without known secrets. */
  function redact(message: string): string {
    let clean = hideUserinfo(message)
    for (const secret of known) clean = clean.replaceAll(secret, '***')
    return clean
  }

  /** A line from 1 with its offset in the text, up to where something secret starts; null where it is too long to show. */
  function sourceLine(line: number, lineStart: number): string | null {
    const whole = lines[line - 1] ?? ''
    // Not even looked at: a file may be one line, with a problem in each of its words.
    if (whole.length > MAX_LINE) return null
    const source = whole.replace(/\r$/, '')
    let cut = cuts.get(line - 1) ?? source.length
    for (const span of spans) {
      if (VARIABLE_ALONE.test(text.slice(span.start, span.end))) continue
      if (span.start < lineStart + source.length && span.end > lineStart)
        cut = Math.min(cut, Math.max(0, span.start - lineStart))
    }
    if (cut >= source.length) return source === '' ? null : redact(source)
    return `${redact(source.slice(0, cut))}***`
  }

  return { redact, sourceLine }
}

/** For each line (from 0) that seems to hold a secret, the column at which it starts. */
function cutsByLook(lines: readonly string[]): ReadonlyMap<number, number> {
  const cuts = new Map<number, number>()
  // The indentation of the secret key above, as long as lines are indented further.
  let holder: number | null = null
  for (const [index, line] of lines.entries()) {
    const indent = line.search(/\S/)
    const isPart = holder === OPEN ? !/^[a-z_]+:/.test(line) : holder !== null && isBelow(line, indent, holder)
    if (isPart) cuts.set(index, Math.max(0, indent))
    else holder = null
    const key = secretKeyIn(line)
    if (key === undefined) continue
    cuts.set(index, Math.min(cuts.get(index) ?? key.end, key.end))
    holder ??= key.isOpen ? OPEN : key.start
  }
  return cuts
}

function isBelow(line: string, indent: number, holder: number): boolean {
  return indent === -1 || indent > holder || (indent === holder && line[indent] === '-')
}

function secretKeyIn(line: string): { start: number; end: number; isOpen: boolean } | undefined {
  for (const found of line.slice(0, MAX_LINE).matchAll(/(?<![\w-])([A-Za-z][\w-]*)["']?\s*:\s*/g)) {
    const rest = line.slice(found.index + found[0].length)
    if (VARIABLE_ALONE.test(rest)) continue
    if (isSecretKey(found[1]!) || (/url$/i.test(found[1]!) && rest.includes('@'))) {
      const isBracketOpen = /[{[]/.test(line.slice(0, found.index)) && !/[}\]]/.test(rest)
      const isQuoteOpen = /^["']/.test(rest) && !/^(["'])[^"']*\1/.test(rest)
      return { start: found.index, end: found.index + found[0].length, isOpen: isBracketOpen || isQuoteOpen }
    }
  }
  return undefined
}
