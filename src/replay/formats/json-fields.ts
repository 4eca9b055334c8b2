/** What a JSON line holds at a key, by its type; null where there is none of that type. */
export type JsonObject = Readonly<Record<string, unknown>>

export function objectAt(object: JsonObject, key: string): JsonObject | null {
  const value = object[key]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
}

export function textAt(object: JsonObject, key: string): string | null {
  const value = object[key]
  return typeof value === 'string' && value !== '' ? value : null
}

export function numberAt(object: JsonObject, key: string): number | null {
  const value = object[key]
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/** JSON has characters where header fields have bytes: as UTF-8 they are what node would have received. */
export function asBytes(text: string): string {
  return /[^ -~]/.test(text) ? Buffer.from(text).toString('latin1') : text
}

/** What a log writes in place of a value that it hides. */
export function isHidden(value: string): boolean {
  return value === 'REDACTED'
}
