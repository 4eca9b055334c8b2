import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { ClientAddressSource } from '../policy/types.ts'
import { type Address, compileCidrs, parseAddress } from './address.ts'

export type ClientAddress = {
  readonly address: Address
  /** Whether the peer is a trusted proxy, so that what it forwards may be believed. */
  readonly isPeerTrusted: boolean
}

/** Forwarding fields are read no further than this: a longer chain is an attack or a loop. */
const MAX_HOPS = 32
const MAX_BYTES = 2048

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
    let hop = hops.get(written)
    if (hop === undefined) {
      const address = parseAddress(written)
      hop = { address, isTrusted: address !== null && isTrusted(address) }
      hops.set(written, hop)
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
    const peer = readHop(peerText ?? '0.0.0.0')
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
  const line = (Array.isArray(field) ? field.join(',') : field).slice(-MAX_BYTES)
  if (source.kind === 'header') return line.includes(',') ? [] : [line.trim()]
  const elements = line
    .split(',')
    .slice(-MAX_HOPS)
    .reverse()
    .map((element) => element.trim())
  return source.kind === 'forwarded' ? elements.map(forwardedFor) : elements
}

/** The node of a Forwarded element's `for` parameter (RFC 7239), empty where it has none that is plain. */
function forwardedFor(element: string): string {
  const match = /(?:^|;)\s*for\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))/i.exec(element)
  return match?.[1] ?? match?.[2] ?? ''
}
