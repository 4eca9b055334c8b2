import { hashOf } from './pseudonym.ts'

/**
 * Remembers when values were first seen, in constant space: a value that comes once must allocate nothing, or a flood of
 * random ones would fill the memory (after the doorkeeper of TinyLFU, Einziger et al., https://arxiv.org/abs/1512.00727). Under a
 * flood it forgets the oldest; what it forgets is new again. Two values in 2^32 are taken for one another: harmless, for it
 * opens no door by itself.
 *
 * Pairs of a hash and a tick plus one (0 is free), in sets of `WAYS`: at first one set, all that a home needs, and grown once.
 */
export type Doorkeeper = { entries: Uint32Array }

const WAYS = 8
const SETS = 128
/** Microseconds of a tick: the times are kept in 32 bits. */
const TICK_US = 62_500
/** Ticks for which a small doorkeeper keeps what it has seen rather than replace it. */
const SMALL_TICKS = 60 * 16

/** Has room for 8 values (64 bytes); grows to 1024 (8 KiB). */
export function createDoorkeeper(): Doorkeeper {
  return { entries: new Uint32Array(2 * WAYS) }
}

/** Microseconds since the value was first seen; 0 when this is the first time, or it was forgotten. */
export function seenFor(doorkeeper: Doorkeeper, pseudonym: string, nowUs: number): number {
  const hash = hashOf(pseudonym)
  const tick = Math.floor(nowUs / TICK_US) + 1
  const { entries } = doorkeeper
  const first = firstOf(entries, hash)
  for (let at = first; at < first + 2 * WAYS; at += 2) {
    if (entries[at] === hash && entries[at + 1] !== 0) return Math.max(1, tick - entries[at + 1]!) * TICK_US
  }
  insert(doorkeeper, hash, tick)
  return 0
}

function insert(doorkeeper: Doorkeeper, hash: number, tick: number): void {
  const { entries } = doorkeeper
  const first = firstOf(entries, hash)
  let oldest = first
  for (let at = first; at < first + 2 * WAYS; at += 2) {
    if (entries[at + 1]! < entries[oldest + 1]!) oldest = at
  }
  const isFull = entries[oldest + 1] !== 0
  if (isFull && entries.length === 2 * WAYS && tick - entries[oldest + 1]! < SMALL_TICKS) {
    doorkeeper.entries = new Uint32Array(2 * WAYS * SETS)
    for (let at = 0; at < entries.length; at += 2) insert(doorkeeper, entries[at]!, entries[at + 1]!)
    return insert(doorkeeper, hash, tick)
  }
  entries[oldest] = hash
  entries[oldest + 1] = tick
}

function firstOf(entries: Uint32Array, hash: number): number {
  return 2 * WAYS * (hash % (entries.length / (2 * WAYS)))
}
