import { METHODS } from 'node:http'
import type { MethodOverride } from '../policy/types.ts'

/** Headers by which frameworks (Rails, Express, Laravel, OData) take a request for another method. */
export const METHOD_FIELDS: readonly string[] = ['x-http-method-override', 'x-method-override', 'x-http-method']
/** Headers by which frameworks behind IIS (Symfony, Laminas) take a request for another target. */
const TARGET_FIELDS: readonly string[] = ['x-original-url', 'x-rewrite-url']

/** The headers (lower case) that go no further: from any peer, for a proxy in front passes on what its clients send. */
export function strippedFields(override: MethodOverride): readonly string[] {
  if (override === 'pass') return []
  return override === 'match' ? TARGET_FIELDS : [...METHOD_FIELDS, ...TARGET_FIELDS]
}

/** The methods, in upper case, that a request's headers name instead of its own; of a list each member. */
export function overridingMethods(names: readonly string[], rawHeaders: readonly string[]): string[] {
  const methods: string[] = []
  for (const field of METHOD_FIELDS) {
    for (let i = names.indexOf(field); i !== -1; i = names.indexOf(field, i + 1)) {
      for (const text of rawHeaders[2 * i + 1]!.split(',')) {
        const method = text.trim().toUpperCase()
        if (method !== '') methods.push(method)
      }
    }
  }
  return methods
}

/** The methods that a request may be taken for: those that exist, so that nobody makes up keys of their own. */
export function effectiveMethods(method: string, names: readonly string[], rawHeaders: readonly string[]): string[] {
  const overriding = overridingMethods(names, rawHeaders).filter((one) => METHODS.includes(one))
  return overriding.length === 0 ? [method] : overriding
}
