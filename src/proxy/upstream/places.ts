/** Whose share of the upstream a request uses. Both are pseudonyms. */
export type Sharer = {
  /** The client where it is known by itself, else its network: this one is held to the share. */
  readonly holder: string
  /** The widest network that the client is in, with the known clients in it: this one never takes all places. */
  readonly network: string
}

/** A bounded number of places (connections, places in the queue, streams) that all clients share. */
export type Places = {
  /** How many are taken. */
  used(): number
  /** Whether this sharer may take a place now. */
  isFreeFor(sharer: Sharer): boolean
  take(sharer: Sharer): void
  giveBack(sharer: Sharer): void
}

/** This part of the places is kept for those that hold less than their share: a place that is taken cannot be taken back. */
const RESERVE = 0.25
/** Counts of sharers that hold nothing are kept, up to so many, since most come again. */
const MAX_IDLE_COUNTS = 8192

type Count = { held: number }
type Counts = { readonly byName: Map<string, Count>; limit: number }

/**
 * Keeps one client from taking all places. Everybody may take a place as long as more than a reserve is free. The reserve is for
 * holders of less than `maxShare` (0 to 1) of all places, whose network leaves a reserve to the others: so one network, known
 * clients and all, takes three quarters at most, and one holder finds a place while it holds less than its share.
 */
export function createPlaces(total: number, maxShare: number): Places {
  const share = Math.max(1, Math.floor(total * maxShare))
  const reserve = maxShare >= 1 ? 0 : Math.floor(total * RESERVE)
  const holders = { byName: new Map<string, Count>(), limit: MAX_IDLE_COUNTS }
  const networks = { byName: new Map<string, Count>(), limit: MAX_IDLE_COUNTS }
  let used = 0

  return {
    used: () => used,
    isFreeFor({ holder, network }) {
      const free = total - used
      if (free > reserve) return true
      if (free <= 0) return false
      return heldBy(holders, holder) < share && heldBy(networks, network) < total - reserve
    },
    take({ holder, network }) {
      used++
      countOf(holders, holder).held++
      countOf(networks, network).held++
    },
    giveBack({ holder, network }) {
      used--
      countOf(holders, holder).held--
      countOf(networks, network).held--
    },
  }
}

function heldBy({ byName }: Counts, name: string): number {
  return byName.get(name)?.held ?? 0
}

function countOf(counts: Counts, name: string): Count {
  const known = counts.byName.get(name)
  if (known !== undefined) return known
  if (counts.byName.size >= counts.limit) forgetIdle(counts)
  const count = { held: 0 }
  counts.byName.set(name, count)
  return count
}

function forgetIdle(counts: Counts): void {
  for (const [name, { held }] of counts.byName) if (held === 0) counts.byName.delete(name)
  counts.limit = Math.max(MAX_IDLE_COUNTS, 2 * counts.byName.size)
}
