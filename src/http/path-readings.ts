/**
 * The ways in which upstreams take one path for another. Nobody here knows which of them an upstream is, and no single
 * form stands for all: `/a/x%2Fy` is two segments to a server that keeps the escape and three to one that decodes it.
 */

/**
 * A path reduced to what every reading has in common: escapes of visible characters decoded but for those that part it
 * (`/`, `\`) or mean something in a pattern or target (`*`, `?`, `#`, `%`), raw bytes beyond ASCII escaped, slashes
 * collapsed, dot segments that appear by it resolved, no slash at the end.
 */
export function canonicalPath(path: string): string {
  return tidy(decode(path))
}

/**
 * Every reading of a path, without repeats; the folded one (escaped slashes decoded, slashes collapsed) comes first. Linear
 * in the path's length, at most 24 readings, one for nearly every path.
 */
export function pathReadings(path: string): readonly [string, ...string[]] {
  let readings = [decode(path)]
  for (const branch of BRANCHES) readings = readings.flatMap(branch)
  const [folded, ...others] = new Set(readings.map(tidy))
  return [folded!, ...others]
}

/** So many characters of a path's readings are looked at in all. */
const MAX_CHARACTERS = 4096

/**
 * Whether the readings of a path could be longer in all than what is looked at: what a request costs must not grow by the ways in which
 * it can be read. Told without making them, by which of the branches below could part; never so for a path without escapes, parameters,
 * dot segments and repeated slashes, nor for 128 characters or fewer.
 */
export function hasTooManyReadings(path: string): boolean {
  if (path.length <= MAX_CHARACTERS >> PARTINGS.length) return false
  if (!NOT_PLAIN.test(path)) return false
  const parted = PARTINGS.filter((parting) => parting.test(path)).length
  return path.length << parted > MAX_CHARACTERS
}

/**
 * A path or pattern without regard to letter case, as Express, ASP.NET and file systems of Windows and macOS compare them. Letters
 * beyond ASCII are decoded, to be folded too; bytes that are no UTF-8 are all the same one. For comparison only: it is no path.
 */
export function foldCase(path: string): string {
  if (!BEYOND_ASCII.test(path)) return path.toLowerCase()
  if (WIDE.test(path)) return foldCase(path.replace(WIDE_RUNS, escapeRun))
  const bytes = Buffer.allocUnsafe(path.length)
  let length = 0
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    const escaped = code === PERCENT ? escapedByte(path, i) : -1
    if (escaped >= 0x80) i += 2
    bytes[length++] = escaped >= 0x80 ? escaped : code
  }
  // Upper case first, since some letters (long s, the Kelvin sign) are told from an ASCII letter in one of the cases only.
  return bytes.toString('utf8', 0, length).toUpperCase().toLowerCase()
}

/** The same of a segment, without its parameters and what some upstreams drop at its end: what a key is read from. */
export function trimSegment(segment: string): string {
  const at = segment.indexOf(';')
  return trimEnd(at === -1 ? segment : segment.slice(0, at))
}

/** Removes `.` and `..` segments, also as %2e (RFC 3986 section 5.2.4); never above the root. */
export function resolveDots(path: string): string {
  if (!/\/(?:\.|%2e)/i.test(path)) return path
  const segments = path.slice(1).split('/')
  const kept: string[] = []
  for (const [i, segment] of segments.entries()) {
    // `..` written at its longest is six characters; most segments are told by their length, or their first one.
    const plain = segment.length <= 6 && segment.includes('%') ? segment.replace(/%2e/gi, '.') : segment
    if (plain === '..') kept.pop()
    if (plain !== '.' && plain !== '..') kept.push(segment)
    else if (i === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}

/** Where upstreams part ways: what the one makes of a path, then what the other does. The order makes the folded one first. */
const BRANCHES: readonly ((path: string) => string[])[] = [
  // WHATWG parsers given `//name/path` as a reference take the first segment for the authority.
  (path) => (path.startsWith('//') ? [path, path.replace(/^\/+[^/]*/, '')] : [path]),
  // nginx, Django and many more decode it before they route; ASP.NET, Spring and Go's router keep it.
  (path) => (path.includes('%2F') ? [path.replaceAll('%2F', '/'), path] : [path]),
  // Windows servers part paths by backslashes.
  (path) => (path.includes('%5C') ? [path, path.replaceAll('%5C', '/')] : [path]),
  // Servlet containers route without a segment's parameters (RFC 3986 section 3.3), and resolve `..;x` after that.
  (path) => (path.includes(';') ? [path, path.replace(/;[^/]*/g, '')] : [path]),
  // Windows drops dots and spaces at the end of a name, and `$` of a route's expression matches before a line break.
  (path) => {
    const trimmed = trimEnds(path)
    return trimmed === path ? [path] : [path, trimmed]
  },
]

/** What a path as received has in it where one of these branches parts, or where folding its letter case costs as much again. */
const PARTINGS = [/%[89a-f]/i, /\/\//, /%2f/i, /%5c/i, /;|%3b/i, /(?:\.|%2e|%20|%0[9a-d])(?:[/;]|%2f|%5c|%3b|$)/i]

const NOT_PLAIN = /[%;]|\/[/.]|\.\//

const BEYOND_ASCII = /%[89a-f]|[\x80-\uffff]/i
/** Characters that are no byte: a policy may have them, a request never. */
const WIDE = /[\u0100-\uffff]/
const WIDE_RUNS = /[\u0100-\uffff]+/g
const DOT = 0x2e
/** ASCII white space. */
const BLANKS = new Set(['%20', '%09', '%0A', '%0B', '%0C', '%0D'])

function trimEnds(path: string): string {
  if (!/(?:%(?:20|0[9A-D])|\.)(?:\/|$)/.test(path)) return path
  return path.split('/').map(trimEnd).join('/')
}

/** A segment without dots and blanks (as `decode` leaves them) at its end. Blanks behind a dot segment leave that. */
function trimEnd(segment: string): string {
  let end = segment.length
  while (isBlank(segment, end)) end -= 3
  const unblanked = segment.slice(0, end)
  if (unblanked === '.' || unblanked === '..') return unblanked
  while (segment.charCodeAt(end - 1) === DOT || isBlank(segment, end))
    end -= segment.charCodeAt(end - 1) === DOT ? 1 : 3
  return segment.slice(0, end)
}

function isBlank(segment: string, end: number): boolean {
  return end >= 3 && BLANKS.has(segment.slice(end - 3, end))
}

function decode(path: string): string {
  if (!/[%\x80-\uffff]/.test(path)) return path
  if (WIDE.test(path)) return decode(path.replace(WIDE_RUNS, escapeRun))
  const bytes = Buffer.allocUnsafe(3 * path.length)
  let length = 0
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    const byte = code === PERCENT ? escapedByte(path, i) : code
    if (code === PERCENT && byte !== -1) i += 2
    if (byte === -1) bytes[length++] = PERCENT
    else if (code < 0x80 && (code !== PERCENT || IS_DECODED[byte] === 1)) bytes[length++] = byte
    else {
      bytes[length++] = PERCENT
      bytes[length++] = HEX_DIGITS.charCodeAt(byte >> 4)
      bytes[length++] = HEX_DIGITS.charCodeAt(byte & 15)
    }
  }
  return bytes.toString('latin1', 0, length)
}

/** Characters as the escapes of their UTF-8. */
function escapeRun(run: string): string {
  return Buffer.from(run, 'utf8').toString('hex').toUpperCase().replace(/../g, '%$&')
}

/** The byte that the two digits behind a `%` name; -1 where they are none. */
function escapedByte(path: string, at: number): number {
  const high = HEX_VALUES[path.charCodeAt(at + 1)] ?? -1
  const low = HEX_VALUES[path.charCodeAt(at + 2)] ?? -1
  return high < 0 || low < 0 ? -1 : 16 * high + low
}

const PERCENT = 0x25
const HEX_DIGITS = '0123456789ABCDEF'
/** By the code of a digit, in either letter case. */
const HEX_VALUES = Int8Array.from({ length: 256 }, (_, code) => {
  const char = String.fromCharCode(code)
  return /[\da-f]/i.test(char) ? Number.parseInt(char, 16) : -1
})
/** 1 for the characters whose escapes stand for themselves. */
const IS_DECODED = Uint8Array.from({ length: 256 }, (_, code) => {
  const char = String.fromCharCode(code)
  return /[!-~]/.test(char) && !/[%*?#/\\]/.test(char) ? 1 : 0
})

function tidy(path: string): string {
  const resolved = resolveDots(path.replace(/\/{2,}/g, '/'))
  const trimmed = resolved.endsWith('/') ? resolved.slice(0, -1) : resolved
  return trimmed === '' ? '/' : trimmed
}
