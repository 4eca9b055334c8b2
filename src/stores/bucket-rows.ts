import { sextetAt } from '../identity/pseudonym.ts'

/** Where a bucket is not. */
export const NO_ROW = -1

/** 32-bit words of a row: the key (4), the table, the next row of the chain; then the debt and the time, a double each. */
const WORDS = 10
const TABLE = 4
const NEXT = 5
const DOUBLES = WORDS / 2
const DEBT = 3
const TIME = 4

const FREE = -1
/** Marks the table of a row that is found by its id's text. */
const BY_TEXT = 1 << 30
const FIRST_CAPACITY = 256
/** Ids that are remembered as they were read, at most. */
const KEYS = 4096
/** 2^32 by the golden ratio: spreads what one id has under several limits. */
const SPREAD = 0x9e3779b1

/** An id as it was read last: 128 bits if it is a pseudonym. */
type Key = { id: string; isPseudonym: boolean; k0: number; k1: number; k2: number; k3: number }

/**
 * The buckets of all tables, 40 bytes each in one block of memory and a word of the index: a hash table with chains, keyed by
 * a table's number and an id. An id that is a pseudonym (22 characters of base64url, 128 bits of an HMAC) is kept as those
 * bits, and is its own hash; the few others, such as `global`, stand in a Map by their text. None of it is an object to
 * the collector, and looking one up touches two or three lines of memory, where a Map of strings touches five or six.
 */
export class BucketRows {
  size = 0
  /** Rows beyond this have never been used. */
  end = 0
  private words = new Int32Array(FIRST_CAPACITY * WORDS)
  private doubles = new Float64Array(this.words.buffer)
  private heads = new Int32Array(FIRST_CAPACITY).fill(NO_ROW)
  private free = NO_ROW
  private readonly byText: Map<string, number>[] = []
  private readonly texts = new Map<number, string>()
  // A request looks up a client and its network under one limit after another, and clients come back.
  private readonly keys = Array.from(
    { length: KEYS },
    (): Key => ({ id: '', isPseudonym: false, k0: 0, k1: 0, k2: 0, k3: 0 }),
  )

  find(table: number, id: string): number {
    const { isPseudonym, k0, k1, k2, k3 } = this.keyOf(id)
    if (!isPseudonym) return this.byText[table]?.get(id) ?? NO_ROW
    const { words, heads } = this
    let row = heads[(k0 + Math.imul(table, SPREAD)) & (heads.length - 1)]!
    while (row !== NO_ROW) {
      const at = row * WORDS
      const isSame = words[at] === k0 && words[at + 1] === k1 && words[at + 2] === k2 && words[at + 3] === k3
      if (isSame && words[at + TABLE] === table) return row
      row = words[at + NEXT]!
    }
    return NO_ROW
  }

  /** Makes a row for an id that has none. */
  add(table: number, id: string): number {
    const { isPseudonym, k0, k1, k2, k3 } = this.keyOf(id)
    const row = this.takeRow()
    const { words } = this
    const at = row * WORDS
    this.size++
    if (!isPseudonym) {
      words[at + TABLE] = table | BY_TEXT
      this.texts.set(row, id)
      const rows = this.byText[table] ?? new Map<string, number>()
      this.byText[table] = rows.set(id, row)
      return row
    }
    words[at] = k0
    words[at + 1] = k1
    words[at + 2] = k2
    words[at + 3] = k3
    words[at + TABLE] = table
    this.chain(row)
    return row
  }

  remove(row: number): void {
    const { words, heads } = this
    const at = row * WORDS
    const table = words[at + TABLE]!
    if ((table & BY_TEXT) !== 0) {
      this.byText[table & ~BY_TEXT]!.delete(this.texts.get(row)!)
      this.texts.delete(row)
    } else {
      const next = words[at + NEXT]!
      const head = this.headOf(row)
      if (heads[head] === row) heads[head] = next
      else {
        let before = heads[head]!
        while (words[before * WORDS + NEXT] !== row) before = words[before * WORDS + NEXT]!
        words[before * WORDS + NEXT] = next
      }
    }
    words[at + TABLE] = FREE
    words[at + NEXT] = this.free
    this.free = row
    this.size--
  }

  /** The number of the table that a row belongs to; below 0 where the row is free. */
  tableOf(row: number): number {
    const table = this.words[row * WORDS + TABLE]!
    return table === FREE ? FREE : table & ~BY_TEXT
  }

  debt(row: number): number {
    return this.doubles[row * DOUBLES + DEBT]!
  }

  timeUs(row: number): number {
    return this.doubles[row * DOUBLES + TIME]!
  }

  write(row: number, debt: number, timeUs: number): void {
    this.doubles[row * DOUBLES + DEBT] = debt
    this.doubles[row * DOUBLES + TIME] = timeUs
  }

  private takeRow(): number {
    const row = this.free
    if (row !== NO_ROW) {
      this.free = this.words[row * WORDS + NEXT]!
      return row
    }
    if (this.end === this.heads.length) this.grow()
    return this.end++
  }

  private grow(): void {
    const words = new Int32Array(2 * this.words.length)
    words.set(this.words)
    this.words = words
    this.doubles = new Float64Array(words.buffer)
    this.heads = new Int32Array(2 * this.heads.length).fill(NO_ROW)
    for (let row = 0; row < this.end; row++) {
      const table = words[row * WORDS + TABLE]!
      if (table !== FREE && (table & BY_TEXT) === 0) this.chain(row)
    }
  }

  private chain(row: number): void {
    const head = this.headOf(row)
    this.words[row * WORDS + NEXT] = this.heads[head]!
    this.heads[head] = row
  }

  private headOf(row: number): number {
    const at = row * WORDS
    return (this.words[at]! + Math.imul(this.words[at + TABLE]!, SPREAD)) & (this.heads.length - 1)
  }

  /** The id, read; from a place by its first two characters, if it was the last one there. */
  private keyOf(id: string): Key {
    const place = (id.charCodeAt(0) * 64 + id.charCodeAt(1)) & (KEYS - 1)
    const key = this.keys[place]!
    if (id !== key.id) readKey(key, id)
    return key
  }
}

/** Reads an id as 128 bits, if it is a pseudonym: the last of its 22 characters has 2 of them. */
function readKey(key: Key, id: string): void {
  key.id = id
  key.isPseudonym = false
  if (id.length !== 22) return
  const w0 = wordAt(id, 0)
  const w1 = wordAt(id, 5)
  const w2 = wordAt(id, 10)
  const w3 = wordAt(id, 15)
  const rest = sextetAt(id, 20)
  const last = sextetAt(id, 21)
  if ((w0 | w1 | w2 | w3 | rest | last) < 0 || (last & 15) !== 0) return
  key.isPseudonym = true
  key.k0 = w0 | (rest << 30)
  key.k1 = w1 | ((rest >> 2) << 30)
  key.k2 = w2 | ((rest >> 4) << 30)
  key.k3 = w3 | ((last >> 4) << 30)
}

/** 30 bits of five characters; below 0 where one is none of base64url. */
function wordAt(id: string, at: number): number {
  return (
    (sextetAt(id, at) << 24) |
    (sextetAt(id, at + 1) << 18) |
    (sextetAt(id, at + 2) << 12) |
    (sextetAt(id, at + 3) << 6) |
    sextetAt(id, at + 4)
  )
}
