import { hashOf } from '../identity/pseudonym.ts'

/** How many clients there were; not exact where there were more than are counted one by one. */
export type ClientCount = { readonly count: number; readonly exact: boolean }

/** A client, by its pseudonym, and how many of its requests were counted: at least, where clients are not exact. */
export type ClientShare = { readonly key: string; readonly tier: string; readonly requests: number }

export type Clients = {
  add(key: string, tier: string): void
  count(): ClientCount
  /** Those with the most requests. */
  worst(top: number): readonly ClientShare[]
}

/** Clients that are counted one by one; twice as many are held at most. */
const KEPT = 10_000
/** 2^14 registers: a standard error of 0.8 %. */
const BITS = 14

/**
 * Counts clients in bounded memory: one by one up to twice `KEPT`. Beyond, who they are is kept of those with the most requests,
 * and how many by a HyperLogLog (Flajolet et al., 2007).
 */
export function createClients(): Clients {
  let known = new Map<string, { tier: string; requests: number }>()
  let registers: Uint8Array | null = null

  function prune(): void {
    if (registers === null) {
      registers = new Uint8Array(1 << BITS)
      for (const key of known.keys()) note(registers, key)
    }
    const heaviest = [...known].sort(([, a], [, b]) => b.requests - a.requests).slice(0, KEPT)
    known = new Map(heaviest)
  }

  return {
    add(key, tier) {
      const client = known.get(key)
      if (client !== undefined) return void client.requests++
      known.set(key, { tier, requests: 1 })
      if (registers !== null) note(registers, key)
      if (known.size > 2 * KEPT) prune()
    },
    count: () =>
      registers === null ? { count: known.size, exact: true } : { count: estimate(registers), exact: false },
    worst: (top) =>
      [...known]
        .map(([key, { tier, requests }]) => ({ key, tier, requests }))
        .sort((a, b) => b.requests - a.requests || (a.key < b.key ? -1 : 1))
        .slice(0, top),
  }
}

function note(registers: Uint8Array, key: string): void {
  const hash = mix(hashOf(key))
  const rank = Math.clz32((hash << BITS) | (1 << (BITS - 1))) + 1
  const at = hash >>> (32 - BITS)
  if (registers[at]! < rank) registers[at] = rank
}

function estimate(registers: Uint8Array): number {
  const size = registers.length
  let sum = 0
  let empty = 0
  for (const rank of registers) {
    sum += 2 ** -rank
    if (rank === 0) empty++
  }
  const raw = ((0.7213 / (1 + 1.079 / size)) * size * size) / sum
  // Few values leave registers empty, and those tell more exactly how many there are.
  return Math.round(raw <= 2.5 * size && empty > 0 ? size * Math.log(size / empty) : raw)
}

/** Spreads what differs in the low bits over all of them (the end of MurmurHash3). */
function mix(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
