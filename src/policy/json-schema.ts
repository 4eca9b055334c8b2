import * as z from 'zod'
import { policySchema } from './schema.ts'

type Schema = { [key: string]: unknown }

/** The JSON Schema (draft 2020-12) of a policy file, for editors: the same definition that the loader checks by. */
export function jsonSchema(): object {
  const schema = z.toJSONSchema(policySchema, { io: 'input', target: 'draft-2020-12', reused: 'inline' }) as Schema
  return { $schema: schema.$schema, title: 'Sluice policy', ...withVariables(schema) }
}

/** Any value may also come from the environment: `${NAME}` where a number, a word or a form is wanted. */
function withVariables(schema: Schema): Schema {
  const described: Schema = {}
  for (const [key, value] of Object.entries(schema)) described[key] = key === 'default' ? value : inside(value)
  if (typeof described.pattern === 'string') {
    if (described.pattern === '^') delete described.pattern
    else described.pattern = `(?:${described.pattern})|\\$\\{`
    return described
  }
  if (!isScalar(described)) return described
  const { description, default: fallback, type, enum: words, const: only, minimum, maximum, ...rest } = described
  const wanted = Object.entries({ type, enum: words, const: only, minimum, maximum }).filter(
    ([, value]) => value !== undefined,
  )
  const kept = Object.entries({ description, default: fallback }).filter(([, value]) => value !== undefined)
  return {
    ...Object.fromEntries(kept),
    ...rest,
    anyOf: [Object.fromEntries(wanted), { type: 'string', pattern: '\\$\\{' }],
  }
}

function inside(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inside)
  return typeof value === 'object' && value !== null ? withVariables(value as Schema) : value
}

function isScalar(schema: Schema): boolean {
  if (schema.const !== undefined || schema.enum !== undefined) return true
  return schema.type === 'integer' || schema.type === 'boolean'
}
