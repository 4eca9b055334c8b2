import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { ClientAddressSource } from '../policy/types.ts'
import { type Address, compileCidrs, parseAddress } from './address.ts'
import { forwardedElements, forwardedNode } from './forwarded.ts'

export type ClientAddress = {
  readonly address: Address
  /** Whether the peer is a trusted proxy, so that what it forwards may be believed. */
  readonly isPeerTrusted: boolean
}

/** One address on the way, as it was written and as it was read; null where it is none. */
export type Hop = { readonly written: string; readonly address: Address | null; readonly isTrusted: boolean }

/**
 * How an address was found: the peer first, then each hop that was looked at, nearest first, and why the walk ended: at the
 * first hop that is not trusted, at one that cannot be read, since the peer alone counts (`client_address: peer`), since the
 * field is not there, since it names nobody else, or since no more of it is read (32 hops, 2 KiB).
 */
export type AddressTrace = ClientAddress & {
  readonly hops: readonly Hop[]
  readonly end: 'untrusted' | 'unreadable' | 'peer' | 'no_field' | 'exhausted' | 'cut'
}

type ReadHop = (written: string) => Omit<Hop, 'written'>

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
  const hops = new LRUCache<string, ReturnType<ReadHop>>({ max: 10_000 })

  function readHop(written: string): ReturnType<ReadHop> {
    if (written.length > MAX_HOP_LENGTH) return UNREADABLE
    let hop = hops.get(written)
    if (hop === undefined) {
      // A copy: a part of a field, remembered, would keep the whole field in memory.
      const copy = Buffer.from(written).toString()
      hop = readAddress(copy, isTrusted)
      hops.set(copy, hop)
    }
    return hop
  }

  // Nearly all requests come from the same few peers, most from the one before.
  let lastPeer: string | undefined
  let lastHop: ReturnType<ReadHop> | null = null
  const readPeer = (peer: string | undefined) => {
    if (lastHop === null || peer !== lastPeer) {
      lastHop = readHop(peerText(peer))
      lastPeer = peer
    }
    return lastHop
  }

  return (peer, headers) => find(readPeer(peer), readHop, source, headers)
}

/** The same walk with every hop that it looked at, for those who ask why; it remembers nothing. */
export function traceAddress(
  trustedProxies: readonly string[],
  source: ClientAddressSource,
  peer: string | undefined,
  headers: IncomingHttpHeaders,
): AddressTrace {
  const isTrusted = compileCidrs(trustedProxies)
  const hops: Hop[] = []
  const read: ReadHop = (written) => {
    const hop = written.length > MAX_HOP_LENGTH ? UNREADABLE : readAddress(written, isTrusted)
    hops.push({ written, ...hop })
    return hop
  }
  const found = find(read(peerText(peer)), read, source, headers)
  return { ...found, hops, end: endOf(hops, source, headers) }
}

function endOf(hops: readonly Hop[], source: ClientAddressSource, headers: IncomingHttpHeaders): AddressTrace['end'] {
  const last = hops.at(-1)!
  if (last.address === null) return 'unreadable'
  if (!last.isTrusted) return 'untrusted'
  if (source.kind === 'peer') return 'peer'
  const line = fieldOf(source, headers)
  if (line === null) return 'no_field'
  return line.length > MAX_BYTES || elementsFromRight(source, headers, MAX_HOPS + 1).length > MAX_HOPS
    ? 'cut'
    : 'exhausted'
}

function find(
  peer: ReturnType<ReadHop>,
  readHop: ReadHop,
  source: ClientAddressSource,
  headers: IncomingHttpHeaders,
): ClientAddress {
  let address: Address = peer.address ?? { text: '0.0.0.0', family: 'ipv4' }
  if (!peer.isTrusted || source.kind === 'peer') return { address, isPeerTrusted: peer.isTrusted }
  for (const element of elementsFromRight(source, headers, MAX_HOPS)) {
    const hop = readHop(element)
    if (hop.address === null) break
    address = hop.address
    if (!hop.isTrusted) break
  }
  return { address, isPeerTrusted: true }
}

/** Node writes a link-local peer with its interface, `fe80::1%eth0`; in a forwarding field that is no address. */
function peerText(peer: string | undefined): string {
  return peer?.replace(/%.*$/s, '') ?? '0.0.0.0'
}

function readAddress(written: string, isTrusted: (address: Address) => boolean): ReturnType<ReadHop> {
  const address = parseAddress(written)
  return { address, isTrusted: address !== null && isTrusted(address) }
}

/** The hops that the field names, nearest first. */
function elementsFromRight(source: ClientAddressSource, headers: IncomingHttpHeaders, maxHops: number): string[] {
  const line = fieldOf(source, headers)
  if (line === null) return []
  // One that holds a list all the same is no address.
  if (source.kind === 'header') return [line.trim()]
  if (source.kind === 'x-forwarded-for' && line.length <= MAX_HOP_LENGTH && !line.includes(',')) return [line.trim()]
  const isLong = line.length > MAX_BYTES
  const end = isLong ? line.slice(-MAX_BYTES) : line
  const isForwarded = source.kind === 'forwarded'
  const elements = isForwarded ? forwardedElements(end) : end.split(',').reverse()
  // What the cut has halved could read as another address: `198.51.100.7` ends in `8.51.100.7`.
  if (isLong) elements.pop()
  // An empty element is none (RFC 9110 section 5.6.1.2).
  const hops = elements.map((element) => element.trim()).filter((element) => element !== '')
  return hops.slice(0, maxHops).map((hop) => (isForwarded ? forwardedNode(hop) : hop))
}

function fieldOf(source: ClientAddressSource, headers: IncomingHttpHeaders): string | null {
  const field = headers[source.kind === 'header' ? source.header : source.kind]
  return field === undefined ? null : Array.isArray(field) ? field.join(',') : field
}
