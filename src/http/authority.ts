import { isIPv6 } from 'node:net'
import { rememberFew } from './remember-few.ts'

/** Where a request goes, in its one spelling: lower case, no root dot, no escapes, an IPv6 address at its shortest. */
export type Authority = {
  /** The name or address, which matches look at; empty where none is named. */
  readonly host: string
  /** With the port where one was written: what goes upstream. */
  readonly text: string
}

const MAX_NAME_LENGTH = 255
const MAX_PORT = 65_535

/**
 * Reads an authority (RFC 9110 section 7.2); null where it is none, or one that parties read differently: with userinfo, escapes,
 * a list, an empty label, a port that is none. An empty one is an authority without a host.
 */
export const readAuthority: (written: string) => Authority | null = rememberFew((written) => {
  if (written === '') return { host: '', text: '' }
  const end = written.startsWith('[') ? written.indexOf(']') + 1 : written.indexOf(':')
  const name = end === -1 ? written : written.slice(0, end)
  const host = name.startsWith('[') ? addressOf(name) : nameOf(name)
  const port = portOf(end === -1 ? '' : written.slice(end))
  return host === null || port === null ? null : { host, text: host + port }
})

function addressOf(literal: string): string | null {
  const address = literal.slice(1, -1)
  // An interface is no part of an address in HTTP.
  if (address.includes('%') || !isIPv6(address)) return null
  return new URL(`http://${literal}`).hostname
}

function nameOf(written: string): string | null {
  const name = written.endsWith('.') ? written.slice(0, -1) : written
  if (name.length > MAX_NAME_LENGTH || !/^[\w.-]+$/.test(name)) return null
  return name.startsWith('.') || name.endsWith('.') || name.includes('..') ? null : name.toLowerCase()
}

/** The port with its colon, as a decimal; empty where none is written. */
function portOf(written: string): string | null {
  if (written === '') return ''
  const port = /^:\d{1,5}$/.test(written) ? Number(written.slice(1)) : 0
  return port > 0 && port <= MAX_PORT ? `:${port}` : null
}
