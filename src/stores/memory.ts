import type { Clock } from '../clock.ts'
import { hashOf } from '../identity/pseudonym.ts'
import { type Bucket, CLOCK_STEP_US, debtAt, timeAfter } from '../limiter/bucket.ts'
import { groupAdmitted, type LocalStore, leaseTaken } from '../limiter/store.ts'
import { BucketRows, NO_ROW } from './bucket-rows.ts'

export type MemoryStore = LocalStore & {
  /** How many charges went to a network's shared bucket because the store was full of debt. */
  folds(): number
}

/** Shared buckets for each bucket name, used when the store is full; a tag always maps to the same one. */
const FOLDS = 4096
/** Buckets looked at, for ones whose debt has drained, whenever a new one is made; and when there is no room for it. */
const SWEEP = 4
const SWEEP_WHEN_FULL = 64
/**
 * From one round over all buckets to the next: so many microseconds, or until there are twice as many and some. Buckets of
 * those that come again all the time are not thrown away and made anew with each request.
 */
const ROUND_US = 1_000_000
const ROUND_SIZE = 1024

type Table = {
  readonly number: number
  /** The bucket's latest capacity and rate, of a pool those it has at least: they say when a debt has drained. */
  bucket: Bucket
}

/**
 * Keeps the buckets in process, those of all limits in one table (bucket-rows.ts).
 *
 * A bucket whose debt has drained is the same as no bucket: making a new one sweeps a few such away, so the store holds
 * little more than the buckets in debt. When `maxBuckets` are in debt none is dropped, for its owner would start afresh;
 * a new id then shares one of `FOLDS` buckets with its network, so the bound is no weapon either.
 */
export function createMemoryStore(options: { readonly maxBuckets: number; readonly clock: Clock }): MemoryStore {
  const { maxBuckets, clock } = options
  const rows = new BucketRows()
  const tables: Table[] = []
  const tablesByName = new Map<string, Table>()
  let cursor = 0
  let folds = 0
  // Of the charge under way, by the debits' places: kept, for one is followed by the next.
  const places: Table[] = []
  const ids: string[] = []
  const found: number[] = []
  let isSwept = false
  let hasGrown = false
  let roundUs = Number.NEGATIVE_INFINITY
  let roundSize = 0

  /** The table of the debit at this place of a charge, which is mostly that of the charge before. */
  function tableOf(bucket: Bucket, place: number): Table {
    let table = places[place]
    if (table === undefined || table.bucket.name !== bucket.name) {
      table = tablesByName.get(bucket.name)
      if (table === undefined) {
        table = { number: tables.length, bucket }
        tables.push(table)
        tablesByName.set(bucket.name, table)
      }
      places[place] = table
    }
    const latest = bucket.base ?? bucket
    if (table.bucket !== latest) table.bucket = latest
    return table
  }

  function sweep(steps: number, nowUs: number): void {
    for (let step = 0; step < steps; step++) {
      if (cursor >= rows.end) {
        cursor = 0
        roundUs = nowUs
        roundSize = rows.size
        return
      }
      const row = cursor++
      const table = tables[rows.tableOf(row)]
      if (table !== undefined && debtAt(table.bucket, rows.debt(row), rows.timeUs(row), nowUs) === 0) rows.remove(row)
    }
  }

  /** Whether a debit without a bucket can have one. It may sweep, and then rows found before may be others' now. */
  function isRoom(nowUs: number): boolean {
    if (rows.size < maxBuckets) return true
    isSwept = true
    sweep(SWEEP_WHEN_FULL, nowUs)
    return rows.size < maxBuckets
  }

  /** The row's debt now. A clock far back is taken over here, for a refusal, which writes nothing, must not lock either. */
  function settle(bucket: Bucket, row: number, nowUs: number): number {
    const timeUs = rows.timeUs(row)
    const debt = debtAt(bucket, rows.debt(row), timeUs, nowUs)
    if (timeUs - nowUs > CLOCK_STEP_US) rows.write(row, debt, nowUs)
    return debt
  }

  function write({ number }: Table, id: string, row: number, debt: number, nowUs: number): void {
    if (id.charCodeAt(0) === FOLD_MARK) folds++
    // Not found may have been made by another debit of this charge: several of one network can share a bucket.
    const known = row === NO_ROW || isSwept ? rows.find(number, id) : row
    if (known !== NO_ROW) return rows.write(known, debt, timeAfter(rows.timeUs(known), nowUs))
    rows.write(rows.add(number, id), debt, nowUs)
    hasGrown = true
  }

  return {
    charge(debits, nowUs = clock.nowUs()) {
      const debts: number[] = []
      isSwept = false
      hasGrown = false
      for (let i = 0; i < debits.length; i++) {
        const debit = debits[i]!
        const { number } = tableOf(debit.bucket, i)
        let { id } = debit
        let row = rows.find(number, id)
        let debt = 0
        if (row !== NO_ROW) {
          debt = settle(debit.bucket, row, nowUs)
        } else if (!isRoom(nowUs)) {
          id = foldOf(debit.tag)
          row = rows.find(number, id)
          if (row !== NO_ROW) debt = settle(debit.bucket, row, nowUs)
        } else if (folds > 0) {
          // Who had to share a bucket and now gets one of its own brings the debt along: room must not be a fresh start.
          const shared = rows.find(number, foldOf(debit.tag))
          if (shared !== NO_ROW) debt = settle(debit.bucket, shared, nowUs)
        }
        debts.push(Math.max(debit.floor, debt))
        ids[i] = id
        found[i] = row
      }
      if (!groupAdmitted(debits, debts, 0)) return debts
      for (let i = 0; i < debits.length; i++) {
        const debit = debits[i]!
        if (debit.group !== 0 && !groupAdmitted(debits, debts, debit.group)) continue
        const table = places[i]!
        if (debit.cost < 0 && rows.find(table.number, ids[i]!) === NO_ROW) continue
        write(table, ids[i]!, found[i]!, Math.max(0, debts[i]! + debit.cost + leaseTaken(debit, debts[i]!)), nowUs)
      }
      // Behind the writes, which know where their rows are.
      if (hasGrown && (rows.size > 2 * roundSize + ROUND_SIZE || Math.abs(nowUs - roundUs) >= ROUND_US))
        sweep(SWEEP, nowUs)
      return debts
    },
    size: () => rows.size,
    folds: () => folds,
    close: async () => {},
  }
}

/** No pseudonym begins with a tilde. */
const FOLD_MARK = 0x7e

/** The id of the shared bucket of a tag. */
function foldOf(tag: string): string {
  return `~${hashOf(tag) % FOLDS}`
}
