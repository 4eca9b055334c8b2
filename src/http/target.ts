/** A request target taken apart. */
export type Target = {
  /** The path to match strictly and to forward: as received, dot segments resolved. `*` for `OPTIONS *`. */
  readonly path: string
  /** The path folded: what a lenient upstream may take it for. Limits and deny lists match this form as well. */
  readonly folded: string
  /** With its question mark; empty where there is none. */
  readonly query: string
  /** The authority of an absolute-form target (RFC 9112 section 3.2.2), which replaces Host; else null. */
  readonly authority: string | null
}

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/i
const PERCENT = 0x25
const DOT = 0x2e
const SLASH = 0x2f
const BACKSLASH = 0x5c
const BAD_ESCAPE = /%(?![0-9a-f]{2})/i

/**
 * Reads a request target (RFC 9112 section 3.2). Null when it must be answered 400: a backslash, NUL, another control
 * character or space, a fragment, a bad percent escape, or a form that only a CONNECT may have.
 */
export function parseTarget(target: string, method: string): Target | null {
  if (target === '*') return method === 'OPTIONS' ? { path: '*', folded: '*', query: '', authority: null } : null
  let authority: string | null = null
  let origin = target
  if (!target.startsWith('/')) {
    const absolute = ABSOLUTE_FORM.exec(target)
    if (absolute === null) return null
    authority = absolute[1]!
    if (authority === '' || authority.includes('@')) return null
    origin = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]!}`
  }
  const mark = origin.indexOf('?')
  const path = mark === -1 ? origin : origin.slice(0, mark)
  const query = mark === -1 ? '' : origin.slice(mark)
  if (hasForbidden(query)) return null
  if (isPlain(path)) return { path, folded: path, query, authority }
  if (hasForbidden(path) || path.includes('\\') || BAD_ESCAPE.test(path) || /%00/.test(path)) return null
  const strict = resolveDots(path)
  return { path: strict, folded: fold(strict), query, authority }
}

/** Whether there is nothing to resolve, to fold or to refuse: the common case, told in one pass. */
function isPlain(path: string): boolean {
  let previous = 0
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    if (code <= 0x20 || code === 0x23 || code === PERCENT || code === BACKSLASH || code === 0x7f) return false
    if (previous === SLASH && (code === SLASH || code === DOT)) return false
    previous = code
  }
  return previous !== SLASH || path.length === 1
}

/** Controls, space and `#` never stand in a target; a parser that cut the target there would see another path. */
function hasForbidden(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 0x20 || code === 0x7f || code === 0x23) return true
  }
  return false
}

/** Removes `.` and `..` segments, also as %2e (RFC 3986 section 5.2.4); never above the root. */
function resolveDots(path: string): string {
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

/**
 * The form that lenient upstreams reduce spellings to: escapes of `/` and of unreserved characters decoded, slashes
 * collapsed, dot segments that appear by it resolved, no slash at the end.
 */
function fold(path: string): string {
  const decoded = path.replace(/%([0-9a-f]{2})/gi, (written, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16))
    return /[\w\-.~/]/.test(char) ? char : written.toUpperCase()
  })
  const folded = resolveDots(decoded.replace(/\/{2,}/g, '/')).replace(/\/+$/, '')
  return folded === '' ? '/' : folded
}
