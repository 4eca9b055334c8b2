import type { Clock } from '../clock.ts'
import { hashOf } from '../identity/pseudonym.ts'
import { type Bucket, CLOCK_STEP_US, debtAt, timeAfter } from '../limiter/bucket.ts'
import { type Debit, isAdmitted, type LocalStore, leaseTaken } from '../limiter/store.ts'

export type MemoryStore = LocalStore & {
  /** How many charges went to a network's shared bucket because the store was full of debt. */
  folds(): number
}

/** Shared buckets for each bucket name, used when the store is full; a tag always maps to the same one. */
const FOLDS = 4096
/** Buckets looked at, for ones whose debt has drained, whenever a new one is made; and when there is no room for it. */
const SWEEP = 4
const SWEEP_WHEN_FULL = 64

type Table = {
  readonly slots: Map<string, number>
  /** The bucket's latest capacity and rate, of a pool those it has at least: they say when a debt has drained. */
  bucket: Bucket
}

/**
 * Keeps the buckets in process: for each bucket name a Map from id to a slot of one Float64Array of debts and times.
 *
 * A bucket whose debt has drained is the same as no bucket: making a new one sweeps a few such away, so the store holds
 * little more than the buckets in debt. When `maxBuckets` are in debt none is dropped, for its owner would start afresh;
 * a new id then shares one of `FOLDS` buckets with its network, so the bound is no weapon either.
 */
export function createMemoryStore(options: { readonly maxBuckets: number; readonly clock: Clock }): MemoryStore {
  const { maxBuckets, clock } = options
  const tables = new Map<string, Table>()
  const freeSlots: number[] = []
  let state = new Float64Array(2 * 1024)
  let end = 0
  let size = 0
  let folds = 0
  let sweepTables = tables.values()
  let sweepTable: Table | undefined
  let sweepSlots: Iterator<[string, number]> | undefined

  function tableOf(bucket: Bucket): Table {
    let table = tables.get(bucket.name)
    if (table === undefined) {
      table = { slots: new Map(), bucket }
      tables.set(bucket.name, table)
    }
    table.bucket = bucket.base ?? bucket
    return table
  }

  function sweep(steps: number, nowUs: number): void {
    for (let step = 0; step < steps; step++) {
      const next = sweepSlots?.next()
      if (sweepTable === undefined || next === undefined || next.done) {
        sweepTable = sweepTables.next().value
        if (sweepTable === undefined) sweepTables = tables.values()
        sweepSlots = sweepTable?.slots.entries()
        continue
      }
      const [id, slot] = next.value
      if (debtAt(sweepTable.bucket, state[slot]!, state[slot + 1]!, nowUs) > 0) continue
      sweepTable.slots.delete(id)
      freeSlots.push(slot)
      size--
    }
  }

  /** The id whose bucket the debit is charged to: its own, or its network's shared one when there is no room. */
  function place(slots: Map<string, number>, debit: Debit, nowUs: number): string {
    if (slots.has(debit.id)) return debit.id
    sweep(SWEEP, nowUs)
    if (size < maxBuckets) return debit.id
    sweep(SWEEP_WHEN_FULL, nowUs)
    if (size < maxBuckets) return debit.id
    return foldOf(debit.tag)
  }

  /** The slot's debt now. A clock far back is taken over here, for a refusal, which writes nothing, must not lock either. */
  function settle(bucket: Bucket, slot: number, nowUs: number): number {
    const timeUs = state[slot + 1]!
    const debt = debtAt(bucket, state[slot]!, timeUs, nowUs)
    if (timeUs - nowUs > CLOCK_STEP_US) {
      state[slot] = debt
      state[slot + 1] = nowUs
    }
    return debt
  }

  function write(slots: Map<string, number>, id: string, debt: number, nowUs: number): void {
    let slot = slots.get(id)
    if (id.startsWith('~')) folds++
    if (slot === undefined) {
      slot = freeSlots.pop() ?? grow()
      slots.set(id, slot)
      state[slot + 1] = nowUs
      size++
    }
    state[slot] = debt
    state[slot + 1] = timeAfter(state[slot + 1]!, nowUs)
  }

  function grow(): number {
    if (end === state.length) {
      const larger = new Float64Array(state.length * 2)
      larger.set(state)
      state = larger
    }
    end += 2
    return end - 2
  }

  return {
    charge(debits, nowUs = clock.nowUs()) {
      const ids: string[] = []
      const debts: number[] = []
      for (const debit of debits) {
        const { slots } = tableOf(debit.bucket)
        const id = place(slots, debit, nowUs)
        // Who had to share a bucket and now gets one of its own brings the debt along: room must not be a fresh start.
        const slot = slots.get(id) ?? (folds > 0 ? slots.get(foldOf(debit.tag)) : undefined)
        ids.push(id)
        debts.push(Math.max(debit.floor, slot === undefined ? 0 : settle(debit.bucket, slot, nowUs)))
      }
      if (!groupAdmitted(debits, debts, 0)) return debts
      for (let i = 0; i < debits.length; i++) {
        const debit = debits[i]!
        if (debit.group !== 0 && !groupAdmitted(debits, debts, debit.group)) continue
        const { slots } = tableOf(debit.bucket)
        if (debit.cost < 0 && !slots.has(ids[i]!)) continue
        write(slots, ids[i]!, Math.max(0, debts[i]! + debit.cost + leaseTaken(debit, debts[i]!)), nowUs)
      }
      return debts
    },
    size: () => size,
    folds: () => folds,
    close: async () => {},
  }
}

function groupAdmitted(debits: readonly Debit[], debts: readonly number[], group: number): boolean {
  for (let i = 0; i < debits.length; i++) {
    const debit = debits[i]!
    if (debit.group === group && !isAdmitted(debit, debts[i]!)) return false
  }
  return true
}

/** The id of the shared bucket of a tag; no pseudonym begins with a tilde. */
function foldOf(tag: string): string {
  return `~${hashOf(tag) % FOLDS}`
}
