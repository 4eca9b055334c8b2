/** Fields as they were sent: names and values in turn; and each name in lower case, one for each pair. */
export type Fields = { readonly fields: string[]; readonly names: readonly string[] }

/** Beyond these, names are made lower case each time: clients must not fill the memory. */
const MAX_KNOWN = 1000
const MAX_LENGTH = 64

const known = new Map<string, string>()

/** A field's name in lower case; that of a usual spelling is the same string each time, whose hash has been taken before. */
export function lowerCaseName(name: string): string {
  const lower = known.get(name)
  return lower ?? learn(name)
}

function learn(name: string): string {
  if (known.size >= MAX_KNOWN || name.length > MAX_LENGTH) return name.toLowerCase()
  // A copy: a part of a header, remembered, would keep the whole header in memory.
  const copy = Buffer.from(name).toString()
  const lower = copy.toLowerCase()
  known.set(copy, lower)
  return lower
}

/** Takes names and values in turn. */
export function fieldsOf(list: readonly string[]): Fields {
  const names: string[] = []
  for (let i = 0; i < list.length; i += 2) names.push(lowerCaseName(list[i]!))
  return { fields: [...list], names }
}
