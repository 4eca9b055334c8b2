import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { ClientAddressSource } from '../policy/types.ts'
import { type Address, compileCidrs, parseAddress } from './address.ts'
import { forwardedNodes } from './forwarded.ts'

export type ClientAddress = {
  readonly address: Address
  /** Whether the peer is a trusted proxy, so that what it forwards may be believed. */
  readonly isPeerTrusted: boolean
}

/** Forwarding fields are read no further than this: a longer chain is an attack or a loop. */
const MAX_HOPS = 32
const MAX_BYTES = 2048
/** Longer than any address in brackets with a port. */
const MAX_HOP_LENGTH = 64
const UNREADABLE = { address: null, isTrusted: false }

/**
 * Compiles how a client's address is found. From a peer that is not trusted it is the peer: what it forwards is ignored.
 * From a trusted one the configured field is walked from the right, as each hop appended to it, up to the first address
 * that is not itself trusted; the leftmost entry is never believed as such. What cannot be read ends the walk at the last
 * good hop. A peer without an address (a closed socket) counts as 0.0.0.0.
 */
export function compileClientAddress(
  trustedProxies: readonly string[],
  source: ClientAddressSource,
): (peer: string | undefined, headers: IncomingHttpHeaders) => ClientAddress {
  const isTrusted = compileCidrs(trustedProxies)
  // Parsing and matching an address crosses into C++; clients come back, so both are remembered by spelling.
  const hops = new LRUCache<string, { address: Address | null; isTrusted: boolean }>({ max: 10_000 })

  function readHop(written: string): { address: Address | null; isTrusted: boolean } {
    if (written.length > MAX_HOP_LENGTH) return UNREADABLE
    let hop = hops.get(written)
    if (hop === undefined) {
      // A copy: a part of a field, remembered, would keep the whole field in memory.
      const copy = Buffer.from(written).toString()
      const address = parseAddress(copy)
      hop = { address, isTrusted: address !== null && isTrusted(address) }
      hops.set(copy, hop)
    }
    return hop
  }

  function walk(peer: Address, elements: readonly string[]): Address {
    let client = peer
    for (const element of elements) {
      const hop = readHop(element)
      if (hop.address === null) return client
      client = hop.address
      if (!hop.isTrusted) return client
    }
    return client
  }

  return (peerText, headers) => {
    // Node writes a link-local peer with its interface, `fe80::1%eth0`; in a forwarding field that is no address.
    const peer = readHop(peerText?.replace(/%.*$/, '') ?? '0.0.0.0')
    const address = peer.address ?? { text: '0.0.0.0', family: 'ipv4' }
    if (!peer.isTrusted || source.kind === 'peer') return { address, isPeerTrusted: peer.isTrusted }
    return { address: walk(address, elementsFromRight(source, headers)), isPeerTrusted: true }
  }
}

/** The hops that the field names, nearest first. */
function elementsFromRight(source: ClientAddressSource, headers: IncomingHttpHeaders): string[] {
  const name = source.kind === 'header' ? source.header : source.kind
  const field = headers[name]
  if (field === undefined) return []
  const line = Array.isArray(field) ? field.join(',') : field
  const isLong = line.length > MAX_BYTES
  if (source.kind === 'header') return isLong || line.includes(',') ? [] : [line.trim()]
  const end = isLong ? line.slice(-MAX_BYTES) : line
  const elements = source.kind === 'forwarded' ? forwardedNodes(end, MAX_HOPS + 1) : end.split(',').reverse()
  // What the cut has halved could read as another address: `198.51.100.7` ends in `8.51.100.7`.
  if (isLong) elements.pop()
  return elements.slice(0, MAX_HOPS).map((element) => element.trim())
}
