const MAX_KNOWN = 1000
const MAX_LENGTH = 64

/**
 * Remembers what comes of the texts that requests bring again and again: so many and of such a length, for clients must not fill
 * the memory; others are worked on each time.
 */
export function rememberFew<T>(work: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()

  function learn(text: string): T {
    if (known.size >= MAX_KNOWN || text.length > MAX_LENGTH) return work(text)
    // A copy: a part of a header, remembered, would keep the whole header in memory.
    const copy = Buffer.from(text).toString()
    const made = work(copy)
    known.set(copy, made)
    return made
  }

  return (text) => {
    const made = known.get(text)
    return made === undefined ? learn(text) : made
  }
}
