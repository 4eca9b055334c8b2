const STATUS_LINE = /^HTTP\/1\.1 [1-5]\d\d [\t\x20-\x7e\x80-\xff]*$/
const FIELD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/

/**
 * What is wrong with the bytes that a client read until its connection ended: null where they are well-formed answers, one
 * after the other, the last of which may be cut. Bodies must not begin like an answer: an answer to HEAD is told by that.
 */
export function faultOfAnswers(bytes: Buffer): string | null {
  let rest = bytes.toString('latin1')
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) return /^HTTP\/1\.1 |^H?T?T?P?$/.test(rest) ? null : 'not an answer'
    const [line = '', ...fields] = rest.slice(0, end).split('\r\n')
    if (!STATUS_LINE.test(line)) return `not a status line: ${JSON.stringify(line)}`
    const odd = fields.find((field) => !FIELD.test(field))
    if (odd !== undefined) return `not a field: ${JSON.stringify(odd)}`
    rest = rest.slice(end + 4)
    const status = Number(line.slice(9, 12))
    if (status === 101) return null
    if (status < 200 || status === 204 || status === 304) continue
    const after = behindBody(fields, rest)
    if (typeof after !== 'string') return after.fault
    rest = after
  }
  return null
}

function behindBody(fields: readonly string[], rest: string): string | { readonly fault: string } {
  const values = (name: string) =>
    fields
      .filter((field) => field.toLowerCase().startsWith(`${name}:`))
      .map((field) => field.slice(name.length + 1).trim())
  const lengths = values('content-length')
  const codings = values('transfer-encoding')
  if (lengths.length + codings.length > 1) return { fault: 'framed twice' }
  if (rest.startsWith('HTTP/1.1 ')) return rest
  if (lengths.length === 1) {
    if (!/^\d+$/.test(lengths[0]!)) return { fault: `not a length: ${lengths[0]}` }
    return rest.slice(Number(lengths[0]))
  }
  if (codings.length === 0) return ''
  for (;;) {
    const line = /^([0-9a-f]+)\r\n/i.exec(rest)
    if (line === null) return /^[0-9a-f]*\r?$/i.test(rest) ? '' : { fault: 'not a chunk' }
    const size = Number.parseInt(line[1]!, 16)
    rest = rest.slice(line[0].length + size)
    if (rest.length < 2) return ''
    if (!rest.startsWith('\r\n')) return { fault: 'a chunk without its end' }
    rest = rest.slice(2)
    if (size === 0) return rest
  }
}
