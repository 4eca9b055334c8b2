import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair } from 'yaml'
import { parseYaml } from './parse-yaml.ts'
import { type Path, pathText } from './path.ts'
import { grouped, show } from './show.ts'
import { coreScalar, type Env, substitute } from './substitute.ts'
import { BROKEN } from './validate.ts'
import { explainYamlError, isHarmless, isNeverClosed } from './yaml-error.ts'

/** The largest policy that is read, in bytes. */
export const MAX_POLICY_BYTES = 1024 * 1024

const MAX_DEPTH = 32
const MAX_ALIASES = 100
const MAX_VALUES = 50_000

/** Where a value stands in the text, as offsets; `text` is what it was before a variable made a number of it. */
export type Place = {
  readonly key: number | null
  readonly start: number
  readonly end: number
  readonly text?: string
}

/** Something wrong with the document itself. */
export type LoadProblem = { readonly offset: number; readonly path: Path; readonly message: string }

export type Loaded = {
  /** Plain data: maps without prototype, lists, scalars, and BROKEN for what has been reported. */
  readonly value: unknown
  /** By `pathText`. */
  readonly places: ReadonlyMap<string, Place>
  readonly problems: readonly LoadProblem[]
  /** From this offset on the text may not say what it seems to: what looks wrong or missing there is not worth a word. */
  readonly soundUntil: number
  readonly lines: LineCounter
  /** The lines (from 1) that are not valid YAML: what they seem to say is not worth a word. */
  readonly badLines: ReadonlySet<number>
  /** The names of the variables that were filled in. */
  readonly variables: ReadonlySet<string>
}

/** Reads YAML 1.2 into plain data and places, and fills in variables. It never throws. `text` is without a BOM. */
export function load(text: string, env: Env): Loaded {
  const lines = new LineCounter()
  const problems: LoadProblem[] = []
  const places = new Map<string, Place>()
  const variables = new Set<string>()
  const badLines = new Set<number>()
  const failed = (message: string): Loaded => {
    return {
      value: BROKEN,
      places,
      problems: [{ offset: 0, path: [], message }],
      soundUntil: 0,
      lines,
      badLines,
      variables,
    }
  }
  if (Buffer.byteLength(text) > MAX_POLICY_BYTES) return failed('the file is larger than 1 MiB; write a shorter policy')
  const document = parseYaml(text, lines)
  if (document === undefined) return failed('the file is nested too deeply to be read; write a flatter one')

  const structural = document.errors.filter((error) => !isHarmless(error)).sort((a, b) => a.pos[0] - b.pos[0])[0]
  const soundUntil = structural?.pos[0] ?? Number.POSITIVE_INFINITY
  const anchors = new Map<string, Node>()
  const open = new Set<Node>()
  let aliases = 0
  let values = 0
  const value = document.contents === null ? null : read(document.contents, [], null, 0)
  if (values > MAX_VALUES) return failed(`the file has more than ${grouped(MAX_VALUES)} values; write a shorter policy`)
  for (const error of [...document.errors, ...document.warnings]) {
    // What follows the first error that changes the structure is mostly its echo.
    if (error.pos[0] > soundUntil) continue
    const offset = isNeverClosed(error) ? openValueAt(error.pos[0], places) : error.pos[0]
    problems.push({ offset, path: [], message: explainYamlError(error, lineAround(text, offset)) })
    badLines.add(lines.linePos(error.pos[0]).line)
    if (error === structural) break
  }
  return { value, places, problems, soundUntil, lines, badLines, variables }

  function read(node: Node | null, path: Path, key: number | null, fallback: number): unknown {
    const [start, end] = node?.range ?? [fallback, fallback]
    const name = pathText(path)
    if (!places.has(name)) places.set(name, { key, start, end })
    const broken = (message: string) => {
      problems.push({ offset: start, path, message })
      return BROKEN
    }
    values++
    if (values > MAX_VALUES) return BROKEN
    if (path.length > MAX_DEPTH) return broken('is nested too deeply; write a flatter policy')
    if (node === null) return null
    if (isAlias(node)) return readAlias(node.source, path, key, broken)
    if ('anchor' in node && typeof node.anchor === 'string') anchors.set(node.anchor, node)
    if (isScalar(node)) return readScalar(node.value, node.type === 'PLAIN', path, broken)
    open.add(node)
    const items = isMap(node)
      ? readMap(node.items as Pair<Node, Node | null>[], path)
      : isSeq(node)
        ? node.items.map((item, index) => read(item as Node | null, [...path, index], null, start))
        : broken('is not a value that a policy can hold; write a text, a number, a list or a map')
    open.delete(node)
    return items
  }

  function readAlias(name: string, path: Path, key: number | null, broken: (message: string) => unknown): unknown {
    aliases++
    if (aliases > MAX_ALIASES + 1) return BROKEN
    if (aliases > MAX_ALIASES) return broken('is one alias too many for a policy; write the values out')
    const target = anchors.get(name)
    if (target === undefined) return broken(`there is no anchor ${show(name)} further up; write the value itself`)
    if (open.has(target)) return broken(`is an alias of ${show(name)}, which it stands in; write the value itself`)
    return read(target, path, key, target.range?.[0] ?? 0)
  }

  function readMap(pairs: readonly Pair<Node, Node | null>[], path: Path): unknown {
    const map: Record<string, unknown> = Object.create(null)
    for (const pair of pairs) {
      const offset = pair.key?.range?.[0] ?? 0
      if (!isScalar(pair.key)) {
        problems.push({ offset, path, message: 'a list, a map or an alias is no key; write a word' })
        continue
      }
      const key = String(pair.key.source ?? pair.key.value)
      const keyPath = [...path, key]
      if (key in map) {
        const first = lines.linePos(places.get(pathText(keyPath))?.key ?? offset).line
        problems.push({ offset, path: keyPath, message: `is given twice, first on line ${first}; keep one of them` })
        continue
      }
      map[key] = read(pair.value, keyPath, offset, pair.key.range?.[1] ?? offset)
    }
    return map
  }

  function readScalar(value: unknown, isPlain: boolean, path: Path, broken: (message: string) => unknown): unknown {
    const written = typeof value === 'string' ? value : undefined
    if (written === undefined || !written.includes('${')) return value
    const substitution = substitute(written, env)
    if ('wrong' in substitution) return broken(substitution.wrong)
    for (const name of substitution.names) variables.add(name)
    if (!isPlain || !substitution.isChanged) return substitution.text
    places.set(pathText(path), { ...places.get(pathText(path))!, text: substitution.text })
    return coreScalar(substitution.text)
  }
}

/** Where the value starts that is still open at an offset: more to the point than the end of the file. */
function openValueAt(offset: number, places: ReadonlyMap<string, Place>): number {
  let start = 0
  for (const place of places.values())
    if (place.start < offset && place.end >= offset - 1) start = Math.max(start, place.start)
  return start
}

function lineAround(text: string, offset: number): string {
  return text
    .slice(text.lastIndexOf('\n', offset - 1) + 1)
    .split('\n', 1)[0]!
    .slice(0, 1000)
}
