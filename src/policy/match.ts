import { canonicalPath, pathReadings } from '../http/path-readings.ts'
import type { Target } from '../http/target.ts'
import type { Match } from './types.ts'

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

/**
 * A node of the path trie. Patterns are walked segment by segment, so matching costs what the path is long, however
 * many entries there are, and no pattern can backtrack over a path: `**` is tried once at each depth.
 */
type Node<Entry> = {
  readonly literal: Map<string, Node<Entry>>
  star: Node<Entry> | null
  /** Entries whose pattern ends here. */
  readonly ends: Indexed<Entry>[]
  /** What follows a `**` here, as a trie that is walked from the path's end. */
  after: Node<Entry> | null
}

type Indexed<Entry> = { readonly entry: Entry; readonly index: number; readonly accepts: (s: MatchSubject) => boolean }

/**
 * Compiles entries into a function that gives those matching a request, in the order of the policy.
 * `folded` (limits, deny lists): one form of the path must match, as it is forwarded or as any upstream may read it.
 * `strict` (exemptions): all of them must, so that `/open/..%2fclosed` is not let off for how it begins.
 */
export function compileMatch<Entry extends { readonly match: Match }>(
  entries: readonly Entry[],
  form: 'strict' | 'folded',
): (subject: MatchSubject) => readonly Entry[] {
  const trie = createNode<Entry>()
  // A pattern is read as the path is: what is exempt as written stays so in each reading.
  const readTrie = form === 'strict' ? createNode<Entry>() : trie
  const anyPath: Indexed<Entry>[] = []
  for (const [index, entry] of entries.entries()) {
    const indexed = { entry, index, accepts: compileAccepts(entry.match, form) }
    if (entry.match.paths.length === 0) anyPath.push(indexed)
    for (const pattern of entry.match.paths) {
      insert(trie, pattern, indexed)
      const readings = form === 'strict' ? pathReadings(pattern) : [canonicalPath(pattern)]
      for (const reading of readings) if (reading !== pattern || readTrie !== trie) insert(readTrie, reading, indexed)
    }
  }
  if (entries.every(({ match }) => isEmptyMatch(match))) return () => entries

  function findByPath({ path, folded, alternatives }: Target): Set<Indexed<Entry>> {
    const found = new Set(anyPath)
    collect(trie, path, found)
    if (folded === path && alternatives.length === 0) return found
    const readings = folded === path ? alternatives : [folded, ...alternatives]
    for (const reading of readings) {
      if (form === 'folded') {
        collect(trie, reading, found)
      } else {
        const read = new Set(anyPath)
        collect(readTrie, reading, read)
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
  const { paths, methods, hosts, headers } = match
  return paths.length === 0 && methods.length === 0 && hosts.length === 0 && headers.length === 0
}

function createNode<Entry>(): Node<Entry> {
  return { literal: new Map(), star: null, ends: [], after: null }
}

function insert<Entry>(root: Node<Entry>, pattern: string, entry: Indexed<Entry>): void {
  const segments = pattern.slice(1).split('/')
  const globstar = segments.indexOf('**')
  if (globstar === -1) return void descend(root, segments).ends.push(entry)
  const node = descend(root, segments.slice(0, globstar))
  node.after ??= createNode()
  descend(node.after, segments.slice(globstar + 1).reverse()).ends.push(entry)
}

/** The node that these segments lead to, made where it is missing. */
function descend<Entry>(root: Node<Entry>, segments: readonly string[]): Node<Entry> {
  let node = root
  for (const segment of segments) {
    let next = segment === '*' ? node.star : node.literal.get(segment)
    if (next == null) {
      next = createNode<Entry>()
      if (segment === '*') node.star = next
      else node.literal.set(segment, next)
    }
    node = next
  }
  return node
}

function collect<Entry>(root: Node<Entry>, path: string, found: Set<Indexed<Entry>>): void {
  // `OPTIONS *` asks about no path, not about the root.
  walk(root, path === '*' ? [] : path.slice(1).split('/'), 0, found)
}

function walk<Entry>(node: Node<Entry>, segments: readonly string[], depth: number, found: Set<Indexed<Entry>>): void {
  if (node.after !== null) walkBack(node.after, segments, segments.length, depth, found)
  if (depth === segments.length) {
    for (const entry of node.ends) found.add(entry)
    return
  }
  const segment = segments[depth]!
  const next = node.literal.get(segment)
  if (next !== undefined) walk(next, segments, depth + 1, found)
  if (node.star !== null && segment !== '') walk(node.star, segments, depth + 1, found)
}

/** Walks from the path's end back to `depth`, where the `**` stands; what is left between the two it takes. */
function walkBack<Entry>(
  node: Node<Entry>,
  segments: readonly string[],
  end: number,
  depth: number,
  found: Set<Indexed<Entry>>,
): void {
  for (const entry of node.ends) found.add(entry)
  if (end === depth) return
  const segment = segments[end - 1]!
  const next = node.literal.get(segment)
  if (next !== undefined) walkBack(next, segments, end - 1, depth, found)
  if (node.star !== null && segment !== '') walkBack(node.star, segments, end - 1, depth, found)
}

function compileAccepts(
  { methods, hosts, headers }: Match,
  form: 'strict' | 'folded',
): (subject: MatchSubject) => boolean {
  const tests: ((subject: MatchSubject) => boolean)[] = []
  if (methods.length > 0) {
    const wanted = new Set(methods)
    // A HEAD asks for what a GET would answer: a limit on GET that let HEAD pass would be no limit.
    if (wanted.has('GET')) wanted.add('HEAD')
    tests.push(({ method }) => wanted.has(method))
  }
  if (hosts.length > 0) {
    const exact = new Set(hosts.filter((host) => !host.startsWith('*.')))
    const suffixes = hosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(1))
    tests.push(({ host }) => exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix)))
  }
  for (const { name, value } of headers) {
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

/** Compiles a value with `*` for any run of characters; linear, each piece is looked for once from where the last ended. */
export function compileWildcard(pattern: string): (text: string) => boolean {
  const pieces = pattern.split('*')
  if (pieces.length === 1) return (text) => text === pattern
  const first = pieces[0]!
  const last = pieces.at(-1)!
  const middle = pieces.slice(1, -1)
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false
    let from = first.length
    const end = text.length - last.length
    for (const piece of middle) {
      const at = text.indexOf(piece, from)
      if (at === -1 || at + piece.length > end) return false
      from = at + piece.length
    }
    return true
  }
}
