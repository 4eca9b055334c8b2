import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { show } from './show.ts'
import type { HostPort } from './types.ts'
import type { Reading } from './units.ts'

/** The words that stand for networks in `trusted_proxies`. */
export const NAMED_NETWORKS: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

const WRITE_CIDR = 'write an address or a network, such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32'

/**
 * The network in canonical text; a bare address is a network of its own. Validity is what node:net says, because
 * ipaddr.js also takes `10.1` and octal parts, which others read as other addresses.
 */
export function readCidr(text: string): Reading<string> {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0 || address.includes('%')) {
    return { wrong: `${show(text)} is not an address or a network; ${WRITE_CIDR}` }
  }
  const bits = version === 4 ? 32 : 128
  const length = prefix === undefined ? bits : Number(prefix)
  if (prefix !== undefined && (!/^(0|[1-9]\d{0,2})$/.test(prefix) || length > bits)) {
    return { wrong: `${show(text)} has no valid prefix; write a whole number from 0 to ${bits} after the slash` }
  }
  return canonicalNetwork(text, address, length)
}

/** The host and port of `host:port`, `:port` (all IPv4 interfaces) or `[::1]:port`. */
export function readHostPort(text: string): Reading<HostPort> {
  const wrong = {
    wrong: `${show(text)} is not an address to listen on; write host:port, such as 0.0.0.0:8080 or :8080`,
  }
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  if (parts === null) return wrong
  const port = Number(parts[3])
  if (port > 65_535) return { wrong: `${show(text)} has port ${port}; write a port from 0 to 65535` }
  if (parts[1] !== undefined) return isIP(parts[1]) === 6 ? { value: { host: parts[1], port } } : wrong
  const host = parts[2] || '0.0.0.0'
  return isHostName(host) ? { value: { host, port } } : wrong
}

/** Whether a text is an IPv4 address or a name by RFC 1123; `10.1`, `010.0.0.1` and `0x7f.1` are neither. */
export function isHostName(host: string): boolean {
  if (isIPv4(host)) return true
  const labels = host.split('.')
  // A last label of digits makes it an address in the eyes of a URL parser (octal and short forms included).
  if (host.length > 253 || /^(\d+|0x[0-9a-f]*)$/i.test(labels.at(-1)!)) return false
  return labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))
}

function canonicalNetwork(text: string, address: string, length: number): Reading<string> {
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) {
    const inner = `${parsed.toIPv4Address().toString()}${length >= 96 && length < 128 ? `/${length - 96}` : ''}`
    return { wrong: `${show(text)} is an IPv4 network written as IPv6; write ${inner}` }
  }
  const whole = `${parsed.toString()}/${length}`
  const network =
    parsed instanceof ipaddr.IPv6
      ? ipaddr.IPv6.networkAddressFromCIDR(whole).toString()
      : ipaddr.IPv4.networkAddressFromCIDR(whole).toString()
  if (network !== parsed.toString()) {
    return { wrong: `${show(text)} has bits set beyond its prefix; write ${network}/${length}` }
  }
  return { value: `${network}/${length}` }
}
