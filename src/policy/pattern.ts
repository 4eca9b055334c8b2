import { isIPv6 } from 'node:net'
import { readAuthority } from '../http/authority.ts'
import { isHostName } from './address.ts'
import { show } from './show.ts'
import type { Source } from './types.ts'
import type { Reading } from './units.ts'

/** A token of RFC 9110: methods and field names. */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

const SOURCE =
  /^(?:(?:header|cookie|query):[!#$%&'*+.^_`|~0-9A-Za-z-]+|claim:[\x21-\x7e]+|path:[1-9]\d?|host|method|device|network)$/

/** A lower-case host name without a port; `*.example.com` for any name below it. */
export function readHostPattern(text: string): Reading<string> {
  const write = 'write a name without scheme, port or path, such as api.example.com or *.example.com'
  const host = text.toLowerCase()
  const isAddress = /^\[.+\]$/.test(host) && isIPv6(host.slice(1, -1)) && !host.includes('%')
  // As a request's is read, which may spell an address at length.
  if (isAddress) return { value: readAuthority(host)?.host ?? host }
  if (isHostName(host.replace(/^\*\./, ''))) return { value: host }
  return { wrong: `${show(text)} is not a host name; ${write}` }
}

/** A method as it is sent. Methods are case-sensitive: `get` is another one, and never meant. */
export function readMethod(text: string): Reading<string> {
  if (!TOKEN.test(text)) return { wrong: `${show(text)} is not a method; write one such as GET or POST` }
  const upper = text.toUpperCase()
  return upper === text ? { value: text } : { wrong: `${show(text)} is not how methods are sent; write ${upper}` }
}

/** A field name in lower case. The text must have the form of TOKEN. */
export function readFieldName(text: string): Reading<string> {
  return { value: text.toLowerCase() }
}

/** What a client can be told apart by: `header:x-tenant`, `path:2`, `host`. */
export function readSource(text: string): Reading<string> {
  if (SOURCE.test(text)) return { value: text.startsWith('header:') ? text.toLowerCase() : text }
  const write =
    'header:<name>, cookie:<name>, query:<name>, path:<number>, claim:<name>, host, method, device or network'
  return { wrong: `${show(text)} is not something clients are told apart by; write ${write}` }
}

/** A text that `readSource` has read. */
export function parseSource(text: string): Source {
  const colon = text.indexOf(':')
  const kind = (colon === -1 ? text : text.slice(0, colon)) as Source['kind']
  const name = text.slice(colon + 1)
  switch (kind) {
    case 'header':
    case 'cookie':
    case 'query':
    case 'claim':
      return { kind, name }
    case 'path':
      return { kind, segment: Number(name) }
    case 'host':
    case 'method':
    case 'device':
    case 'network':
      return { kind }
  }
}
