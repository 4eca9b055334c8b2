import { rememberFew } from './remember-few.ts'

/** Fields as they were sent: names and values in turn; and each name in lower case, one for each pair. */
export type Fields = { readonly fields: string[]; readonly names: readonly string[] }

/** A field's name in lower case; that of a usual spelling is the same string each time, whose hash has been taken before. */
export const lowerCaseName = rememberFew((name) => name.toLowerCase())

/** The names, in lower case, of names and values in turn. */
export function namesOf(list: readonly string[]): string[] {
  const names: string[] = []
  for (let i = 0; i < list.length; i += 2) names.push(lowerCaseName(list[i]!))
  return names
}

/** The names of a request's fields, in lower case; null where one only looks like a framing field. */
export function requestNamesOf(list: readonly string[]): string[] | null {
  const names: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    const name = requestName(list[i]!)
    if (name === null) return null
    names.push(name)
  }
  return names
}

const requestName = rememberFew((name) => {
  const lower = lowerCaseName(name)
  return isFramingLookAlike(lower) ? null : lower
})

/** Takes names and values in turn. */
export function fieldsOf(list: readonly string[]): Fields {
  return { fields: [...list], names: namesOf(list) }
}

/**
 * Whether a name (lower case) is that of a framing field once everything but letters is removed, and is not that field: some
 * receiver would frame the message by it, and see a request in it that nobody counted.
 */
export function isFramingLookAlike(name: string): boolean {
  if (name === 'content-length' || name === 'transfer-encoding') return false
  const letters = name.replace(/[^a-z]/g, '')
  return letters === 'contentlength' || letters === 'transferencoding'
}
