import * as z from 'zod'
import { type DataMap, isMap } from './data.ts'
import { openDocument, type PolicyDocument } from './document.ts'
import { originOf } from './environment.ts'
import { type Path, pathText } from './path.ts'
import { isCredentialField, isSecretKey } from './redact.ts'
import { REDIS_ONLY } from './rules.ts'
import { policySchema } from './schema.ts'
import { IPV6_PARENTS } from './schema-identity.ts'
import { flow } from './show.ts'
import type { Env } from './substitute.ts'
import { unwrapped } from './validate.ts'

export type PrintOptions = {
  /** A policy without a problem. */
  readonly text: string
  /** The file's name; null where there is none. */
  readonly file: string | null
  readonly env: Env
}

/** A line of YAML, and where what it says comes from; null where the lines below it say so. */
type Line = { readonly text: string; readonly origin: string | null }

/** Where comments start, unless a line is longer. */
const MAX_COLUMN = 60

/**
 * Prints a policy as it is in force, as YAML: each value with where it comes from, be it the environment, a place in the
 * file or the default. What is left out of a limit, but for its burst, follows from its rate or the store. Secrets,
 * passwords and the values of fields that bear credentials read `***`; the rest is a policy that means the same.
 */
export function printPolicy({ text: written, file, env }: PrintOptions): string {
  const document = openDocument(written, env)
  const { text, root, origins, loaded, redactor } = document
  if (root === undefined) throw new Error('a policy without a problem is a map of keys')
  const derived = derive(document)
  const lines: Line[] = []
  put(policySchema, root, [], '', '')
  const column = Math.min(MAX_COLUMN, Math.max(...lines.map((line) => line.text.length))) + 2
  return lines.map((line) => `${line.origin === null ? line.text : withComment(line, column)}\n`).join('')

  /** `head`: what stands before the value on its first line; `indent`: what stands before those below it. */
  function put(schema: z.ZodType, value: unknown, path: Path, head: string, indent: string): void {
    const inner = unwrapped(schema, value)
    if (inner !== undefined && inner.schema !== null) return put(inner.schema, inner.value, path, head, indent)
    if (schema instanceof z.ZodObject && isMap(value)) return putMap(schema, value, path, head, indent)
    if (!(schema instanceof z.ZodArray && Array.isArray(value) && value.some(isMap))) {
      return void lines.push({ text: `${head}${shown(value, path)}`, origin: originAt(path) })
    }
    lines.push({ text: head.trimEnd(), origin: null })
    for (const [index, member] of value.entries()) {
      put(schema.element as z.ZodType, member, [...path, index], `${indent}- `, `${indent}  `)
    }
  }

  function putMap(schema: z.ZodObject, map: DataMap, path: Path, head: string, indent: string): void {
    const members = Object.entries(schema.shape).filter(
      ([key, member]) => !isLeftOut(member as z.ZodType, map, key, path),
    )
    if (members.length === 0) return void lines.push({ text: `${head}{}`, origin: originAt(path) })
    const isMember = head.endsWith('- ')
    if (head !== '' && !isMember) lines.push({ text: head.trimEnd(), origin: null })
    for (const [i, [key, member]] of members.entries()) {
      const start = isMember && i === 0 ? head : indent
      put(member as z.ZodType, map[key], [...path, key], `${start}${key}: `, `${indent}  `)
    }
  }

  function shown(value: unknown, path: Path): string {
    return flow([hidden(value, path)]).slice(1, -1)
  }

  function hidden(value: unknown, path: Path): unknown {
    const key = path.findLast((step) => typeof step === 'string') ?? ''
    const isField = path.at(-2) === 'header'
    if (Array.isArray(value)) return value.map((member, index) => hidden(member, [...path, index]))
    if (isMap(value)) {
      return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, hidden(member, [...path, name])]))
    }
    if (typeof value !== 'string') return value
    if (isSecretKey(key) || (isField && isCredentialField(key))) return value === '' ? value : '***'
    return redactor.redact(value)
  }

  function originAt(path: Path): string {
    const variable = originOf(origins, path)
    if (variable !== undefined) return variable
    const place = loaded.places.get(pathText(path))
    if (place === undefined || file === null) return derived.get(pathText(path)) ?? 'default'
    const { line } = loaded.lines.linePos(place.start)
    const names = [...text.slice(place.start, place.end).matchAll(/\$\{(\w+)/g)].map(([, name]) => name)
    return [`${file}:${Math.max(1, line)}`, ...names].join(', ')
  }
}

/** What says nothing: a key that was left out and has no default, and what a store in process has no use for. */
function isLeftOut(schema: z.ZodType, value: DataMap, key: string, path: Path): boolean {
  if (value[key] === undefined && schema instanceof z.ZodPipe && schema.in instanceof z.ZodOptional) return true
  return path.at(-1) === 'store' && (value.kind ?? 'memory') === 'memory' && REDIS_ONLY.includes(key)
}

/** Fills in what follows from another value (in place), and tells for each path where it comes from. */
function derive({ root }: PolicyDocument): ReadonlyMap<string, string> {
  const derived = new Map<string, string>()
  const limits = Array.isArray(root?.limits) ? root.limits : []
  for (const [index, limit] of limits.entries()) {
    if (!isMap(limit) || limit.burst !== undefined) continue
    limit.burst = Number.parseInt(String(limit.rate), 10)
    derived.set(pathText(['limits', index, 'burst']), "the rate's count")
  }
  const network = isMap(root?.identity) ? root.identity.network : undefined
  if (isMap(network) && network.ipv6 !== undefined && network.ipv6_parents === undefined) {
    network.ipv6_parents = IPV6_PARENTS.filter(({ prefix }) => prefix < Number(network.ipv6))
  }
  return derived
}

function withComment({ text, origin }: Line, column: number): string {
  return `${text.padEnd(column - 1)} # ${origin}`
}
