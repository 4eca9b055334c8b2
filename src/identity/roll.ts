import type { Debit } from '../limiter/store.ts'
import type { Network } from './identity.ts'

/** One question to the roll of members that all instances share, for a network and its parents. */
export type RollCall = {
  readonly network: Network
  /** Pseudonym. */
  readonly id: string
  /** Milliseconds after which a member that nobody notes is gone. */
  readonly idle: number
  /** Null to look only; else the identity is noted as here, and entered where it is not: on every level, or, where one is full, on none. */
  readonly note: { readonly isAged: boolean } | null
}

export type RollAnswer = {
  /** Of the identity, in the network itself, after the call. */
  readonly standing: 'absent' | 'fresh' | 'aged'
  /** The live members of the network, then of each parent. */
  readonly counts: readonly { readonly members: number; readonly aged: number }[]
}

/**
 * What instances know of each other's members. Both calls answer null at once while the store is away, resolve to null when it
 * fails or is late (`sinceUs`: since when the request has waited), and never reject.
 */
export type Roll = {
  call(call: RollCall, sinceUs: number): Promise<RollAnswer | null> | null
  /** Charges the buckets of admissions, which all instances share too; answers as a store does. */
  charge(debits: readonly Debit[], sinceUs: number): Promise<readonly number[] | null> | null
}

/** What guards the calls to a shared store (`guardStore`): null at once while that is away, else by the deadline at the latest. */
type Guard = {
  charge(debits: readonly Debit[], deadlineUs: number): Promise<readonly number[] | null> | null
  run<T>(start: () => Promise<T>, deadlineUs: number): Promise<T | null> | null
}

/** The roll of a store, behind its guard. `timeout`: milliseconds that a request waits at most for all its calls together. */
export function guardRoll(guard: Guard, members: (call: RollCall) => Promise<RollAnswer>, timeout: number): Roll {
  return {
    call: (call, sinceUs) => guard.run(() => members(call), sinceUs + timeout * 1000),
    charge: (debits, sinceUs) => guard.charge(debits, sinceUs + timeout * 1000),
  }
}

/** The most live members of each level. */
export function roomOf({ maxDevices, parents }: Network): readonly number[] {
  return [maxDevices, ...parents.map(({ factor }) => maxDevices * factor)]
}
