import { isMap } from './data.ts'
import type { Place } from './load.ts'
import { isSecretKey, type Span } from './redact.ts'

/** Where the values under keys that hold secrets stand in the text. */
export function secretSpans(places: ReadonlyMap<string, Place>): Span[] {
  const spans: Span[] = []
  for (const [path, { start, end }] of places) {
    if (isSecretKey(lastKey(path))) spans.push({ start, end })
  }
  return spans
}

/** The last key of a path, of `keys` that of `store.keys[0]`. */
function lastKey(path: string): string {
  let key = path
  while (key.endsWith(']')) key = key.slice(0, key.lastIndexOf('['))
  return key.slice(key.lastIndexOf('.') + 1)
}

/** The texts under keys that hold secrets, wherever these stand, and the passwords of addresses. */
export function secretsIn(value: unknown, isSecret = false): string[] {
  if (typeof value === 'string') {
    if (isSecret) return [value]
    const start = value.indexOf('//')
    const end = value.lastIndexOf('@')
    if (start === -1 || end < start) return []
    const userinfo = value.slice(start + 2, end)
    return [userinfo.slice(userinfo.indexOf(':') + 1)]
  }
  if (Array.isArray(value)) return value.flatMap((member) => secretsIn(member, isSecret))
  if (!isMap(value)) return []
  return Object.entries(value).flatMap(([key, member]) => secretsIn(member, isSecret || isSecretKey(key)))
}
