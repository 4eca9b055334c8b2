import { stringify } from 'yaml'

/** A value as a message shows it: text in single quotes, short, on one line and without control characters. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${printable(shorten(value))}'`
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  return String(value)
}

/** A value as one line of YAML that can be pasted into a policy: `[{prefix: 56, factor: 1}]`. */
export function flow(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trim()
}

/** Words as a sentence offers them: `a, b or c`. */
export function either(words: readonly string[]): string {
  if (words.length < 2) return words.join('')
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** A whole number with its thousands set apart: `1,000,000`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US')
}

/** Text without what a terminal would obey: a policy may come from somebody else. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/g, '\u00b7')
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
