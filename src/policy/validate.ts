import * as z from 'zod'
import { isMap } from './data.ts'
import type { Path } from './path.ts'
import { flow, show } from './show.ts'

/** What is wrong with one value, or one key. */
export type Issue = {
  readonly path: Path
  readonly message: string
  /** Whether the place to show is the key, the value, or, since the key is not there, what it is missing in. */
  readonly at: 'key' | 'value' | 'missing'
}

export type ValidateOptions = {
  /** What to say about a key that the map at `path` does not know. */
  readonly explainKey: (key: string, path: Path, known: readonly string[]) => string
  /** The text a value had before it was taken for a number or a boolean, where a variable put it there. */
  readonly textAt: (path: Path) => string | undefined
}

/** Nobody reads more, and a file may be made to have a problem in each of a million characters. */
const MAX_ISSUES = 5000
const TOO_MANY = `the file has more than ${MAX_ISSUES} problems, of which the first are shown; put these right first`

/** Stands for a value that has already been reported: it is wrong, and nothing more is to be said about it. */
export const BROKEN = Symbol('broken')

/**
 * Reads a value by its schema. Where zod's own parse gives up an object when one of its fields is wrong, this goes on:
 * it gives all issues and everything that is right; what is wrong is undefined, what is left out is its default or null.
 */
export function validate(
  schema: z.ZodType,
  value: unknown,
  options: ValidateOptions,
): { value: unknown; issues: Issue[] } {
  const issues: Issue[] = []
  return { value: read(schema, value, []), issues }

  function read(schema: z.ZodType, value: unknown, path: Path): unknown {
    if (value === BROKEN || issues.length > MAX_ISSUES) return undefined
    const inner = unwrapped(schema, value)
    if (inner !== undefined) return inner.schema === null ? null : read(inner.schema, inner.value, path)
    if (schema instanceof z.ZodObject) return readObject(schema, value, path)
    if (schema instanceof z.ZodRecord) return readRecord(schema, value, path)
    if (schema instanceof z.ZodArray) return readArray(schema, value, path)
    return readScalar(schema, value, path)
  }

  function note(issue: Issue): void {
    if (issues.length < MAX_ISSUES) issues.push(issue)
    else if (issues.length === MAX_ISSUES) issues.push({ path: [], message: TOO_MANY, at: 'value' })
  }

  function readObject(schema: z.ZodObject, value: unknown, path: Path): unknown {
    const known = Object.keys(schema.shape)
    if (!isMap(value)) return report(path, value, `${notA('map', value)}; write keys below it, such as ${known[0]}`)
    for (const key of Object.keys(value)) {
      if (known.includes(key) || issues.length > MAX_ISSUES) continue
      note({ path: [...path, key], message: options.explainKey(key, path, known), at: 'key' })
    }
    const result: Record<string, unknown> = {}
    for (const key of known) result[key] = read(schema.shape[key] as z.ZodType, value[key], [...path, key])
    return result
  }

  function readRecord(schema: z.ZodRecord, value: unknown, path: Path): unknown {
    if (!isMap(value))
      return report(path, value, `${notA('map', value)}; write a name and a value, such as x-tenant: acme`)
    const result: Record<string, unknown> = Object.create(null)
    for (const [name, member] of Object.entries(value)) {
      const memberPath = [...path, name]
      const key = (schema.keyType as z.ZodType).safeParse(name)
      const message = key.success ? undefined : key.error.issues[0]!.message
      if (message !== undefined) note({ path: memberPath, message, at: 'key' })
      const read = readScalar(schema.valueType as z.ZodType, member, memberPath)
      if (!key.success) continue
      if ((key.data as string) in result)
        note({ path: memberPath, message: 'is given twice; keep one of them', at: 'key' })
      result[key.data as string] = read
    }
    return result
  }

  function readArray(schema: z.ZodArray, value: unknown, path: Path): unknown {
    if (!Array.isArray(value)) {
      const example = isMap(value) || isAbsent(value) ? 'its entries each after a dash' : flow([value])
      return report(path, value, `${notA('list', value)}; write ${example}`)
    }
    // Only for what the list itself must be; the members follow one by one.
    if (value.length === 0) return readScalar(schema, value, path)
    return value.map((member, index) => read(schema.element as z.ZodType, member, [...path, index]))
  }

  function readScalar(schema: z.ZodType, value: unknown, path: Path): unknown {
    if (value === BROKEN) return undefined
    const first = schema.safeParse(value)
    if (first.success) return first.data
    const text = options.textAt(path)
    const second = text === undefined || isAbsent(value) ? first : schema.safeParse(text)
    return second.success ? second.data : report(path, value, first.error.issues[0]!.message)
  }

  function report(path: Path, value: unknown, message: string): undefined {
    note({ path, message, at: value === undefined ? 'missing' : 'value' })
  }
}

/** The schema below a default, an optional, a nullable or a union with a list, with the value to read by it; null where it is null. */
export function unwrapped(schema: z.ZodType, value: unknown): { schema: z.ZodType | null; value: unknown } | undefined {
  if (schema instanceof z.ZodPrefault) {
    return { schema: schema.unwrap() as z.ZodType, value: value === undefined ? schema.def.defaultValue : value }
  }
  if (schema instanceof z.ZodPipe && schema.in instanceof z.ZodOptional) {
    return { schema: value === undefined ? null : (schema.in.unwrap() as z.ZodType), value }
  }
  if (schema instanceof z.ZodNullable) return { schema: value === null ? null : (schema.unwrap() as z.ZodType), value }
  if (schema instanceof z.ZodUnion) {
    const options = schema.options as readonly z.ZodType[]
    if (!options.some((option) => option instanceof z.ZodArray)) return undefined
    const isMap = typeof value === 'object' && value !== null
    const fitting = options.find((option) =>
      Array.isArray(value)
        ? option instanceof z.ZodArray
        : !(option instanceof z.ZodArray) && option instanceof z.ZodObject === isMap,
    )
    return { schema: fitting ?? options[0]!, value }
  }
  return undefined
}

function notA(wanted: 'map' | 'list', value: unknown): string {
  if (value === undefined) return 'is missing'
  return value === null ? 'is empty' : `${show(value)} is not a ${wanted}`
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null
}
