import { pathReadings, resolveDots } from './path-readings.ts'

/** A request target taken apart. */
export type Target = {
  /** The path to match strictly and to forward: as received, dot segments resolved. `*` for `OPTIONS *`. */
  readonly path: string
  /**
   * The path folded: slashes collapsed, escapes of `/` and of other visible characters decoded, no slash at the end. What
   * most lenient upstreams take it for; limits and deny lists match this form as well.
   */
  readonly folded: string
  /** What some upstreams take it for besides (path-readings.ts); empty for nearly every path. */
  readonly alternatives: readonly string[]
  /** With its question mark; empty where there is none. */
  readonly query: string
  /** The authority of an absolute-form target (RFC 9112 section 3.2.2), which replaces Host; else null. */
  readonly authority: string | null
}

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/is
const NO_ALTERNATIVES: readonly string[] = []
const PERCENT = 0x25
const DOT = 0x2e
const SLASH = 0x2f
const SEMICOLON = 0x3b
const BACKSLASH = 0x5c
const BAD_ESCAPE = /%(?![0-9a-f]{2})/i

/**
 * Reads a request target (RFC 9112 section 3.2). Null when it must be answered 400: a backslash, NUL, another control
 * character or space, a fragment, a bad percent escape, or a form that only a CONNECT may have.
 */
export function parseTarget(target: string, method: string): Target | null {
  if (target === '*') return method === 'OPTIONS' ? asterisk(null) : null
  let authority: string | null = null
  let origin = target
  if (!target.startsWith('/')) {
    const absolute = ABSOLUTE_FORM.exec(target)
    if (absolute === null) return null
    authority = absolute[1]!
    if (authority === '' || authority.includes('@')) return null
    // The last proxy turns an OPTIONS for no path at all into `*` (RFC 9112 section 3.2.4).
    if (absolute[2] === '' && method === 'OPTIONS') return asterisk(authority)
    origin = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]!}`
  }
  const mark = origin.indexOf('?')
  const path = mark === -1 ? origin : origin.slice(0, mark)
  const query = mark === -1 ? '' : origin.slice(mark)
  if (hasForbidden(query)) return null
  if (isPlain(path)) return { path, folded: path, alternatives: NO_ALTERNATIVES, query, authority }
  if (hasForbidden(path) || path.includes('\\') || BAD_ESCAPE.test(path) || /%00/.test(path)) return null
  const strict = resolveDots(path)
  const [folded, ...others] = pathReadings(strict)
  return { path: strict, folded, alternatives: others.filter((reading) => reading !== strict), query, authority }
}

function asterisk(authority: string | null): Target {
  return { path: '*', folded: '*', alternatives: NO_ALTERNATIVES, query: '', authority }
}

/** Whether there is nothing to resolve, to fold or to refuse: the common case, told in one pass. */
function isPlain(path: string): boolean {
  let previous = 0
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return false
    if (code === PERCENT || code === BACKSLASH || code === SEMICOLON) return false
    if (previous === SLASH && (code === SLASH || code === DOT)) return false
    if (previous === DOT && code === SLASH) return false
    previous = code
  }
  return path.length === 1 || (previous !== SLASH && previous !== DOT)
}

/** Controls, space and `#` never stand in a target; a parser that cut the target there would see another path. */
function hasForbidden(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 0x20 || code === 0x7f || code === 0x23) return true
  }
  return false
}
