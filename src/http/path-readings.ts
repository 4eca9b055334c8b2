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
 * in the path's length, at most 16 readings, one for nearly every path.
 */
export function pathReadings(path: string): readonly [string, ...string[]] {
  let readings = [decode(path)]
  for (const branch of BRANCHES) readings = readings.flatMap(branch)
  const [folded, ...others] = new Set(readings.map(tidy))
  return [folded!, ...others]
}

/** Removes `.` and `..` segments, also as %2e (RFC 3986 section 5.2.4); never above the root. */
export function resolveDots(path: string): string {
  if (!/\/(?:\.|%2e)/i.test(path)) return path
  const segments = path.slice(1).split('/')
  const kept: string[] = []
  for (const [i, segment] of segments.entries()) {
    const plain = segment.replace(/%2e/gi, '.')
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
]

function decode(path: string): string {
  return path
    .replace(/%([0-9a-f]{2})/gi, (written, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16))
      return /[!-~]/.test(char) && !/[%*?#/\\]/.test(char) ? char : written.toUpperCase()
    })
    .replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
}

function tidy(path: string): string {
  const resolved = resolveDots(path.replace(/\/{2,}/g, '/'))
  const trimmed = resolved.endsWith('/') ? resolved.slice(0, -1) : resolved
  return trimmed === '' ? '/' : trimmed
}
