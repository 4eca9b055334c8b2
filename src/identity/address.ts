import { BlockList, isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** An address in one canonical spelling, so that two spellings of one client never count as two. */
export type Address = { readonly text: string; readonly family: 'ipv4' | 'ipv6' }

const NEVER_TRANSLATED = new Set(['unspecified', 'loopback', 'linkLocal', 'private', 'multicast', 'broadcast'])

/**
 * Reads an address as forwarding headers write it: bare, in brackets, with a port. IPv4 inside IPv6 (mapped,
 * 6to4 2002::/16, NAT64 64:ff9b::/96) becomes that IPv4; a 6to4 or NAT64 address of a private or loopback one does not, for
 * no such address exists (RFC 3056 section 2, RFC 6052 section 3.1) and who makes one up would pass for a trusted proxy.
 * Null for anything else: `unknown`, obfuscated ids, octal forms such as 010.0.0.1, zone ids, garbage.
 */
export function parseAddress(written: string): Address | null {
  const text = withoutPort(written.trim())
  if (isIPv4(text)) return { text, family: 'ipv4' }
  if (!isIPv6(text) || text.includes('%')) return null
  // ipaddr.js takes `::10.0.0.1` for the mapped `::ffff:10.0.0.1`; written out it is the address of its own that it is.
  const parsed = ipaddr.IPv6.parse(text.replace(/^::(?=\d+\.)/, '0:0:0:0:0:0:'))
  const embedded = embeddedIpv4(parsed.toByteArray())
  return embedded === null ? { text: parsed.toString(), family: 'ipv6' } : { text: embedded, family: 'ipv4' }
}

/** The network an address lies in, `address/prefix` with the host bits cleared. */
export function networkOf(address: Address, prefixes: { readonly ipv4: number; readonly ipv6: number }): string {
  const prefix = prefixes[address.family]
  if (address.family === 'ipv4' && prefix === 32) return `${address.text}/32`
  const bytes = ipaddr.parse(address.text).toByteArray()
  for (let i = 0; i < bytes.length; i++) {
    const kept = Math.max(0, Math.min(8, prefix - 8 * i))
    bytes[i]! &= 0xff << (8 - kept)
  }
  return `${ipaddr.fromByteArray(bytes).toString()}/${prefix}`
}

/** Compiles CIDRs (host bits clear) into a test. Matching is node:net's, which reads no octal. */
export function compileCidrs(cidrs: readonly string[]): (address: Address) => boolean {
  if (cidrs.length === 0) return () => false
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [base, prefix] = cidr.split('/') as [string, string]
    list.addSubnet(base, Number(prefix), isIPv4(base) ? 'ipv4' : 'ipv6')
  }
  return (address) => list.check(address.text, address.family)
}

function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)
  if (bracketed) return bracketed[1]!
  const withPort = /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/.exec(text)
  return withPort ? withPort[1]! : text
}

function embeddedIpv4(bytes: readonly number[]): string | null {
  const isZero = (from: number, to: number) => bytes.slice(from, to).every((byte) => byte === 0)
  if (isZero(0, 10) && bytes[10] === 0xff && bytes[11] === 0xff) return bytes.slice(12).join('.')
  if (bytes[0] === 0x20 && bytes[1] === 0x02) return translated(bytes.slice(2, 6))
  const isNat64 = bytes[0] === 0 && bytes[1] === 0x64 && bytes[2] === 0xff && bytes[3] === 0x9b && isZero(4, 12)
  return isNat64 ? translated(bytes.slice(12)) : null
}

function translated(bytes: number[]): string | null {
  const address = new ipaddr.IPv4(bytes)
  return NEVER_TRANSLATED.has(address.range()) ? null : address.toString()
}
