/**
 * The elements of a Forwarded field (RFC 7239), nearest hop first. Read from the right: what a trusted proxy appended is
 * well-formed and comes first, and what a client wrote to the left of it, an open quote included, cannot reach into it.
 */
export function forwardedElements(field: string): string[] {
  const elements: string[] = []
  let end = field.length
  while (end >= 0) {
    const start = separatorBefore(field, end, ',') + 1
    elements.push(field.slice(start, end))
    end = start - 1
  }
  return elements
}

/**
 * The node that an element names in `for`; empty where it has none, or none that is plain. A Host field is a client's own words and
 * stands quoted in `host`, so a separator within quotes separates nothing.
 */
export function forwardedNode(element: string): string {
  let node = ''
  let end = element.length
  while (end >= 0) {
    const start = separatorBefore(element, end, ';') + 1
    const parameter = /^\s*for\s*=\s*(?:"([^"\\]*)"|([^\s;,"]+))\s*$/i.exec(element.slice(start, end))
    if (parameter !== null) {
      // Each parameter may stand once only: of two nobody knows which one is meant.
      if (node !== '') return ''
      node = parameter[1] ?? parameter[2]!
    }
    end = start - 1
  }
  return node
}

/** The index of the last separator outside a quoted string before `end`; -1 where there is none. */
export function separatorBefore(text: string, end: number, separator: string): number {
  let isQuoted = false
  for (let i = end - 1; i >= 0; i--) {
    // Within quotes a quote is escaped; the one that opens them stands after an equals sign.
    if (text[i] === '"' && !(isQuoted && text[i - 1] === '\\')) isQuoted = !isQuoted
    else if (text[i] === separator && !isQuoted) return i
  }
  return -1
}
