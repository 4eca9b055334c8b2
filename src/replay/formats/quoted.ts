/** A field in double quotes: what stands between them, and where the text goes on. */
export type Quoted = { readonly text: string; readonly end: number }

/**
 * Reads a quoted field that begins at `at`, with the escapes that nginx, Apache, Traefik and Envoy write: `\x22`, `\"`, `\\`. Null
 * where there is none, or it does not end.
 */
export function readQuoted(line: string, at: number): Quoted | null {
  if (line.charCodeAt(at) !== QUOTE) return null
  let close = line.indexOf('"', at + 1)
  while (close !== -1 && isEscaped(line, close, at)) close = line.indexOf('"', close + 1)
  if (close === -1) return null
  const raw = line.slice(at + 1, close)
  return { text: raw.includes('\\') ? withoutEscapes(raw) : raw, end: close + 1 }
}

/** What a log writes for a field that is not there. */
export function orNull(text: string): string | null {
  return text === '-' || text === '' ? null : text
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SHORT: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', v: '\v', f: '\f' }

function isEscaped(line: string, at: number, from: number): boolean {
  let backslashes = 0
  while (at - backslashes - 1 > from && line.charCodeAt(at - backslashes - 1) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}

function withoutEscapes(raw: string): string {
  return raw.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (_, hex: string | undefined, char: string) =>
    hex === undefined ? (SHORT[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
