import { resolveDots } from '../http/path-readings.ts'
import { globOf, isRegex } from './regex-hint.ts'
import { show } from './show.ts'
import type { Reading } from './units.ts'

/** How many patterns one pattern with alternatives may stand for. */
const MAX_ALTERNATIVES = 64

/** What is wrong with a pattern, what to write in words, and, where it is known, the pattern to write. */
type Fault = { readonly wrong: string; readonly write: string; readonly fix?: string | undefined }

/**
 * A path pattern: `/` and segments; `*` for one whole segment, or within one for any run of characters; `**` for any
 * number of segments, at most once; `{a,b}` for alternatives, which may hold slashes.
 */
export function readPathPattern(text: string): Reading<string> {
  const fault = faultOf(text)
  if (fault === undefined) return { value: text }
  const { wrong, write, fix } = fault
  const isFine = fix !== undefined && faultOf(fix) === undefined
  return { wrong: `${show(text)} ${wrong}; write ${isFine ? show(fix) : write}` }
}

/** The patterns without alternatives that a pattern stands for: `/a/{b,c}` is `/a/b` and `/a/c`. */
export function expandPattern(pattern: string): readonly string[] {
  return partsOf(pattern).reduce<readonly string[]>(
    (starts, part) => starts.flatMap((start) => part.map((alternative) => start + alternative)),
    [''],
  )
}

/** The parts of a pattern in turn, each with its alternatives; one where there is nothing to choose. */
function partsOf(pattern: string): readonly (readonly string[])[] {
  return pattern.split('{').flatMap((piece, index) => {
    const close = piece.indexOf('}')
    return index === 0 || close === -1 ? [[piece]] : [piece.slice(0, close).split(','), [piece.slice(close + 1)]]
  })
}

function faultOf(text: string): Fault | undefined {
  return faultOfText(text) ?? faultOfBraces(text) ?? faultOfPaths(text)
}

function faultOfText(text: string): Fault | undefined {
  if (isRegex(text)) {
    return { wrong: 'is a regular expression', write: 'a pattern such as /api/** or /api/*.json', fix: globOf(text) }
  }
  if (/[?#]/.test(text)) {
    const fix = text.replace(/[?#].*/s, '')
    return { wrong: 'has a ? or #, which never reach a path', write: 'the path alone', fix }
  }
  if (text.includes('\\')) {
    const fix = text.replaceAll('\\', '/')
    return { wrong: 'has a backslash, which is refused in requests', write: '/ instead', fix }
  }
  if (/%(?![0-9a-f]{2})/i.test(text)) {
    const fix = text.replace(/%(?![0-9a-f]{2})/gi, '%25')
    return { wrong: 'has a % that is no escape', write: '%25 for the sign itself', fix }
  }
  if (/%00|\0/.test(text)) return { wrong: 'has a NUL, which is refused in requests', write: 'the path without it' }
  if (/[^\x21-\x7e]/.test(text)) {
    const fix = text.replace(/[^\x21-\x7e]+/g, escaped)
    return { wrong: 'has characters that are escaped in requests', write: 'them as %20 and the like', fix }
  }
  return undefined
}

function faultOfBraces(text: string): Fault | undefined {
  const braces = text.replace(/[^{}]/g, '')
  if (braces.replaceAll('{}', '') !== '') {
    const wrong = braces.includes('{{') ? 'has a { within a {' : 'has a brace without its partner'
    return { wrong, write: 'alternatives as {a,b}, or %7B and %7D for the signs themselves' }
  }
  if (/\{[^{},]*\}/.test(text)) {
    const fix = text.replace(/\{[^{},]*\}/g, '*')
    return { wrong: 'has braces with nothing to choose', write: '* for any segment, or {a,b} for alternatives', fix }
  }
  const count = partsOf(text).reduce((product, part) => product * part.length, 1)
  if (count <= MAX_ALTERNATIVES) return undefined
  return { wrong: `stands for ${count} patterns`, write: `at most ${MAX_ALTERNATIVES}, or * for any` }
}

function faultOfPaths(text: string): Fault | undefined {
  const paths = expandPattern(text)
  if (!paths.every((path) => path.startsWith('/'))) {
    return { wrong: 'does not start with a slash', write: 'one in front of each alternative', fix: rooted(text) }
  }
  for (const path of paths) {
    const fault = faultOfSegments(path.slice(1).split('/'), text)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** A pattern with the slash that it lacks. A name of files is meant in any folder. */
function rooted(text: string): string {
  if (text.startsWith('*.') && !text.includes('/')) return `/**/${text}`
  if (!text.startsWith('{')) return `/${text}`
  const end = text.indexOf('}')
  const starts = text.slice(1, end).split(',')
  return `{${starts.map((start) => (start.startsWith('/') ? start : `/${start}`)).join()}${text.slice(end)}`
}

function faultOfSegments(segments: readonly string[], text: string): Fault | undefined {
  if (segments.some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) {
    const fix = resolveDots(text)
    return { wrong: 'has a dot segment, which requests arrive without', write: 'the path it leads to', fix }
  }
  if (segments.some((segment) => segment.includes('**') && segment !== '**')) {
    const fix = text.replace(/\/\*\*+(?=[^/*])/g, '/**/*').replace(/([^/*])\*\*+/g, '$1*')
    return { wrong: 'has a ** beside other characters', write: '* within a segment', fix }
  }
  // With one ** a match compares each segment once; with more it would have to try every split.
  const runs = segments.filter((segment) => segment === '**').length
  return runs > 1 ? { wrong: 'has more than one **', write: 'it once' } : undefined
}

/** As UTF-8. */
function escaped(text: string): string {
  return Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
