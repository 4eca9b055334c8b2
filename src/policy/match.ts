import { overridingMethods } from '../http/method-override.ts'
import { canonicalPath, foldCase, pathReadings } from '../http/path-readings.ts'
import type { Target } from '../http/target.ts'
import { expandPattern } from './path-pattern.ts'
import { createPathTrie } from './path-trie.ts'
import type { Match, MethodOverride, PathCase } from './types.ts'
import { compileWildcard } from './wildcard.ts'

/** What the policy says of how the upstream reads a request. */
export type MatchReading = { readonly pathCase: PathCase; readonly methodOverride: MethodOverride }

/** What a match may look at. */
export type MatchSubject = {
  readonly method: string
  readonly target: Target
  /** Lower case, without a port. */
  readonly host: string
  /** Names (lower case), one for each field line, and names and values in turn, as received. */
  readonly names: readonly string[]
  readonly rawHeaders: readonly string[]
}

type Indexed<Entry> = { readonly entry: Entry; readonly index: number; readonly accepts: (s: MatchSubject) => boolean }

/**
 * Compiles entries into a function that gives those matching a request, in the order of the policy.
 * `folded` (limits, deny lists): one form of the path must match, as it is forwarded or as any upstream may read it, and,
 * where the upstream is `insensitive`, in any letter case.
 * `strict` (exemptions): all of them must, so that `/open/..%2fclosed` is not let off for how it begins. A path in the
 * letter case of a strict pattern is in that of the folded one, so letter case is nothing to ask about there.
 */
export function compileMatch<Entry extends { readonly match: Match }>(
  entries: readonly Entry[],
  form: 'strict' | 'folded',
  { pathCase, methodOverride }: MatchReading,
): (subject: MatchSubject) => readonly Entry[] {
  const fold = form === 'folded' && pathCase === 'insensitive' ? foldCase : (path: string) => path
  const trie = createPathTrie<Indexed<Entry>>()
  // A pattern is read as the path is: what is exempt as written stays so in each reading.
  const readTrie = form === 'strict' ? createPathTrie<Indexed<Entry>>() : trie
  const anyPath: Indexed<Entry>[] = []
  for (const [index, entry] of entries.entries()) {
    const indexed = { entry, index, accepts: compileAccepts(entry.match, form, methodOverride) }
    if (entry.match.paths.length === 0) anyPath.push(indexed)
    for (const pattern of entry.match.paths.flatMap(expandPattern)) {
      trie.insert(fold(pattern), indexed)
      const readings = form === 'strict' ? pathReadings(pattern) : [canonicalPath(pattern)]
      for (const reading of readings) {
        if (reading !== pattern || readTrie !== trie) readTrie.insert(fold(reading), indexed)
      }
    }
  }
  if (entries.every(({ match }) => isEmptyMatch(match))) return () => entries

  function findByPath({ path, folded, alternatives }: Target): Set<Indexed<Entry>> {
    const found = new Set(anyPath)
    trie.collect(fold(path), found)
    if (folded === path && alternatives.length === 0) return found
    const readings = folded === path ? alternatives : [folded, ...alternatives]
    for (const reading of readings) {
      if (form === 'folded') {
        trie.collect(fold(reading), found)
      } else {
        const read = new Set(anyPath)
        readTrie.collect(reading, read)
        for (const indexed of found) if (!read.has(indexed)) found.delete(indexed)
      }
    }
    return found
  }

  return (subject) =>
    [...findByPath(subject.target)]
      .filter(({ accepts }) => accepts(subject))
      .sort((a, b) => a.index - b.index)
      .map(({ entry }) => entry)
}

/** Whether a match accepts every request. */
export function isEmptyMatch(match: Match): boolean {
  const { paths, methods, notMethods, hosts, headers } = match
  return (
    paths.length === 0 && methods.length === 0 && notMethods.length === 0 && hosts.length === 0 && headers.length === 0
  )
}

function compileAccepts(
  { methods, notMethods, hosts, headers }: Match,
  form: 'strict' | 'folded',
  methodOverride: MethodOverride,
): (subject: MatchSubject) => boolean {
  const tests: ((subject: MatchSubject) => boolean)[] = []
  if (methods.length + notMethods.length > 0) {
    const named = new Set(methods.length > 0 ? methods : notMethods)
    // A HEAD asks for what a GET would answer: a limit on GET that let HEAD pass would be no limit.
    if (named.has('GET')) named.add('HEAD')
    const accepts = (method: string) => named.has(method) === methods.length > 0
    if (methodOverride !== 'match') tests.push(({ method }) => accepts(method))
    else {
      tests.push(({ method, names, rawHeaders }) => {
        const methods = [method, ...overridingMethods(names, rawHeaders)]
        return form === 'folded' ? methods.some(accepts) : methods.every(accepts)
      })
    }
  }
  if (hosts.length > 0) {
    const exact = new Set(hosts.filter((host) => !host.startsWith('*.')))
    const suffixes = hosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(1))
    tests.push(({ host }) => exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix)))
  }
  for (const { name, value } of headers) {
    if (value === null) {
      tests.push(({ names }) => !names.includes(name))
      continue
    }
    const accepts = compileWildcard(value)
    // Of a repeated field one upstream reads the first line, another the last, a third all of them joined.
    tests.push((subject) => {
      const values = fieldReadings(subject, name)
      return form === 'folded' ? values.some(accepts) : values.length > 0 && values.every(accepts)
    })
  }
  return (subject) => tests.every((test) => test(subject))
}

/** Each line of a field, and all of them joined where there are several. */
function fieldReadings({ names, rawHeaders }: MatchSubject, name: string): string[] {
  const lines: string[] = []
  for (let i = names.indexOf(name); i !== -1; i = names.indexOf(name, i + 1)) lines.push(rawHeaders[2 * i + 1]!)
  return lines.length > 1 ? [...lines, lines.join(', ')] : lines
}
