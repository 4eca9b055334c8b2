import { canonicalPath, foldCase } from '../http/path-readings.ts'
import { expandPattern } from './path-pattern.ts'
import type { Match, PathCase } from './types.ts'
import { compileWildcard } from './wildcard.ts'

/**
 * Whether every request that `inner` matches is matched by `outer` too, both compared as limits and deny lists are (the
 * folded form). True only where that is sure; a false may be too careful.
 */
export function covers(outer: Match, inner: Match, pathCase: PathCase): boolean {
  return (
    coversPaths(outer.paths, inner.paths, pathCase) &&
    coversNegated(outer, inner) &&
    coversAll(outer.methods, inner.methods, (method, wanted) => method === wanted || isItsHead(method, wanted)) &&
    coversAll(outer.hosts, inner.hosts, coversHost) &&
    outer.headers.every((field) => inner.headers.some((known) => coversHeader(field, known)))
  )
}

/** A path that a pattern matches has a reading that the pattern's canonical form matches: those tell all. */
function coversPaths(outer: readonly string[], inner: readonly string[], pathCase: PathCase): boolean {
  const fold = pathCase === 'insensitive' ? foldCase : (path: string) => path
  const plain = (patterns: readonly string[]) => patterns.flatMap(expandPattern).map((one) => fold(canonicalPath(one)))
  return coversAll(plain(outer), plain(inner), coversPath)
}

/** Whether each of the inner alternatives lies in one of the outer ones; none at all stands for anything. */
function coversAll(
  outer: readonly string[],
  inner: readonly string[],
  coversOne: (outer: string, inner: string) => boolean,
): boolean {
  if (outer.length === 0) return true
  return inner.length > 0 && inner.every((one) => outer.some((other) => coversOne(other, one)))
}

/** Whether what the outer one leaves out is left out by the inner one too. */
function coversNegated({ notMethods }: Match, inner: Match): boolean {
  if (notMethods.length === 0) return true
  if (inner.methods.length > 0)
    return inner.methods.every((method) => !notMethods.includes(method) && method !== 'HEAD')
  return notMethods.every((method) => inner.notMethods.includes(method))
}

/** A match on GET takes HEAD along. */
function isItsHead(method: string, wanted: string): boolean {
  return method === 'GET' && wanted === 'HEAD'
}

function coversHost(outer: string, inner: string): boolean {
  return outer === inner || (outer.startsWith('*.') && inner.endsWith(outer.slice(1)))
}

function coversHeader(outer: Match['headers'][number], inner: Match['headers'][number]): boolean {
  if (outer.name !== inner.name) return false
  if (outer.value === inner.value) return true
  if (outer.value === null || inner.value === null) return false
  if (outer.value === '*') return true
  return !inner.value.includes('*') && compileWildcard(outer.value)(inner.value)
}

/** Whether each path of one pattern is one of the other's too. A pattern has one `**` at most. */
function coversPath(outer: string, inner: string): boolean {
  const wide = split(outer)
  const narrow = split(inner)
  if (wide.after === null) {
    return (
      narrow.after === null && wide.before.length === narrow.before.length && startsWith(narrow.before, wide.before)
    )
  }
  // What the narrow one's `**` takes may be anything, so nothing of the wide one may reach into it.
  const ends = narrow.after ?? narrow.before
  if (narrow.after === null && narrow.before.length < wide.before.length + wide.after.length) return false
  return startsWith(narrow.before, wide.before) && startsWith(ends.toReversed(), wide.after.toReversed())
}

/** The segments before and after a `**`; null where there is none. */
function split(pattern: string): { readonly before: readonly string[]; readonly after: readonly string[] | null } {
  const segments = pattern.slice(1).split('/')
  const globstar = segments.indexOf('**')
  if (globstar === -1) return { before: segments, after: null }
  return { before: segments.slice(0, globstar), after: segments.slice(globstar + 1) }
}

function startsWith(segments: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((want, i) => {
    const segment = segments[i]
    if (segment === undefined || want === segment) return segment === want
    if (want === '*') return segment !== ''
    return want.includes('*') && !segment.includes('*') && compileWildcard(want)(segment)
  })
}
