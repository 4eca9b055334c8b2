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

/** Takes names and values in turn. */
export function fieldsOf(list: readonly string[]): Fields {
  return { fields: [...list], names: namesOf(list) }
}
