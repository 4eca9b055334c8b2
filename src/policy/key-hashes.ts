/** Something wrong with a line (from 1) of a file of key hashes. */
export type KeyProblem = { readonly line: number; readonly message: string }

/**
 * Reads a file of API keys: a line `sha256:<64 hex digits> [name]` for each, `#` comments and blank lines between. The
 * name is the principal's, by default the hash's first 12 digits. Problems never show more of a hash than that.
 */
export function readKeyHashes(text: string): {
  principals: ReadonlyMap<string, string>
  problems: readonly KeyProblem[]
} {
  const principals = new Map<string, string>()
  const problems: KeyProblem[] = []
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    const entry = line.trim()
    if (entry === '' || entry.startsWith('#')) continue
    const message = addKey(entry, principals)
    if (message !== undefined) problems.push({ line: index + 1, message })
  }
  return { principals, problems }
}

/** Adds the key of one line; gives what is wrong with it, if anything. */
function addKey(entry: string, principals: Map<string, string>): string | undefined {
  const [digest = '', ...words] = entry.split(/\s+/)
  // Never shown: whoever wrote a key in place of its hash would find it in the log.
  if (!/^sha256:[0-9a-f]{64}$/i.test(digest))
    return 'is not a key; write sha256: and 64 hex digits, then a name if you like'
  if (words.length > 1) return 'has more than a hash and a name; write one name without spaces'
  const hash = digest.slice('sha256:'.length).toLowerCase()
  const name = words[0] ?? hash.slice(0, 12)
  if (!/^[\w.@:+-]{1,128}$/.test(name)) {
    return 'has a name that cannot be logged; write 1 to 128 letters, digits and any of . _ @ : + -'
  }
  if (principals.has(hash)) return `has the key ${hash.slice(0, 12)} a second time; keep one line for each key`
  principals.set(hash, name)
  return undefined
}
