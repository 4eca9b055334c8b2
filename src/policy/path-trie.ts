import { compileWildcard } from './wildcard.ts'

/** Path patterns (expanded, without alternatives) and what each stands for. */
export type PathTrie<Entry> = {
  insert(pattern: string, entry: Entry): void
  /** Adds what stands at each pattern that matches a path. */
  collect(path: string, found: Set<Entry>): void
}

/**
 * A node of the trie. Patterns are walked segment by segment, each node once at most, so matching costs what the path is
 * long, however many literal patterns there are, and no pattern can backtrack over a path: `**` is tried once at each depth.
 */
type Node<Entry> = {
  readonly literal: Map<string, Node<Entry>>
  /** `*` alone: any segment but an empty one. */
  star: Node<Entry> | null
  /** Segments with `*` beside other characters, by how they are written. */
  readonly partial: Map<string, { readonly accepts: (segment: string) => boolean; readonly node: Node<Entry> }>
  /** Entries whose pattern ends here. */
  readonly ends: Entry[]
  /** What follows a `**` here, as a trie that is walked from the path's end. */
  after: Node<Entry> | null
}

export function createPathTrie<Entry>(): PathTrie<Entry> {
  const root = createNode<Entry>()
  return {
    insert: (pattern, entry) => insert(root, pattern, entry),
    // `OPTIONS *` asks about no path, not about the root.
    collect: (path, found) => walk(root, path === '*' ? [] : path.slice(1).split('/'), 0, found),
  }
}

function createNode<Entry>(): Node<Entry> {
  return { literal: new Map(), star: null, partial: new Map(), ends: [], after: null }
}

function insert<Entry>(root: Node<Entry>, pattern: string, entry: Entry): void {
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
  for (const segment of segments) node = childOf(node, segment)
  return node
}

function childOf<Entry>(node: Node<Entry>, segment: string): Node<Entry> {
  const known = segment === '*' ? node.star : (node.literal.get(segment) ?? node.partial.get(segment)?.node)
  if (known != null) return known
  const child = createNode<Entry>()
  if (segment === '*') node.star = child
  else if (segment.includes('*')) node.partial.set(segment, { accepts: compileWildcard(segment), node: child })
  else node.literal.set(segment, child)
  return child
}

function walk<Entry>(node: Node<Entry>, segments: readonly string[], depth: number, found: Set<Entry>): void {
  if (node.after !== null) walkBack(node.after, segments, segments.length, depth, found)
  if (depth === segments.length) {
    for (const entry of node.ends) found.add(entry)
    return
  }
  const segment = segments[depth]!
  const next = node.literal.get(segment)
  if (next !== undefined) walk(next, segments, depth + 1, found)
  if (node.star !== null && segment !== '') walk(node.star, segments, depth + 1, found)
  if (node.partial.size === 0) return
  for (const { accepts, node: child } of node.partial.values()) {
    if (accepts(segment)) walk(child, segments, depth + 1, found)
  }
}

/** Walks from the path's end back to `depth`, where the `**` stands; what is left between the two it takes. */
function walkBack<Entry>(
  node: Node<Entry>,
  segments: readonly string[],
  end: number,
  depth: number,
  found: Set<Entry>,
): void {
  for (const entry of node.ends) found.add(entry)
  if (end === depth) return
  const segment = segments[end - 1]!
  const next = node.literal.get(segment)
  if (next !== undefined) walkBack(next, segments, end - 1, depth, found)
  if (node.star !== null && segment !== '') walkBack(node.star, segments, end - 1, depth, found)
  if (node.partial.size === 0) return
  for (const { accepts, node: child } of node.partial.values()) {
    if (accepts(segment)) walkBack(child, segments, end - 1, depth, found)
  }
}
