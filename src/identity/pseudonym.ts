/** Characters of a pseudonym that keep keys together: 48 bits. */
const TAG_LENGTH = 8

/** The first characters of a pseudonym: what bears the same tag can lie together. */
export function tagOf(id: string): string {
  return id.slice(0, TAG_LENGTH)
}
