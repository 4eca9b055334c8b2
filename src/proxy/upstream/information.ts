import { STATUS_CODES } from 'node:http'
import type { Fields } from '../../http/fields.ts'
import type { ResponseHead } from '../../http1/response-parser.ts'

/** What an informational response never brings a client: framing, cookies, and what only the proxy itself may say. */
const LEFT_OUT = new Set([
  'content-length',
  'set-cookie',
  'set-cookie2',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'via',
  'x-request-id',
  'proxy-status',
])

/**
 * The head of an informational response (102, 103) to send to the client, given the upstream's end-to-end fields: as text of
 * one byte a character. Written here, since node's `writeEarlyHints` takes only links, and reads them with an expression
 * whose time doubles with each `;==`: one header of an upstream could stop the process. The fields are as the
 * parser has checked them: no control character can be among them.
 */
export function informationHead({ status }: ResponseHead, { fields, names }: Fields): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    if (LEFT_OUT.has(name) || name.startsWith('x-ratelimit-')) continue
    head += `${fields[2 * i]}: ${fields[2 * i + 1]}\r\n`
  }
  return `${head}\r\n`
}
