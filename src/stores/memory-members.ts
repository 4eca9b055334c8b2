import type { Clock } from '../clock.ts'
import type { Network } from '../identity/identity.ts'
import { type RollAnswer, type RollCall, roomOf } from '../identity/roll.ts'

/** The members of a network, or of a wider one, in the order in which they were last noted (microseconds). */
type Level = { readonly members: Map<string, Noted>; aged: number; idleUs: number }
type Noted = { seenUs: number; isAged: boolean }

/** Networks of which members are kept at a time; those beyond get none. */
const MAX_LEVELS = 200_000
/** Levels looked at, for ones whose members have all gone, whenever one is made. */
const SWEEP = 4

/** Keeps the roll of members in process, for several workers. Twin of members.lua. */
export function createMemoryMembers(clock: Clock): (call: RollCall) => RollAnswer {
  const levels = new Map<string, Level>()
  let sweeping = levels.entries()

  function sweep(nowUs: number): void {
    for (let i = 0; i < SWEEP; i++) {
      const next = sweeping.next()
      if (next.done) {
        sweeping = levels.entries()
        return
      }
      const [id, level] = next.value
      expire(level, nowUs)
      if (level.members.size === 0) levels.delete(id)
    }
  }

  /** Notes an identity on every level, or, where one is full, on none. */
  function enter(network: Network, id: string, isAged: boolean, idleUs: number, nowUs: number): void {
    const ids = idsOf(network)
    const room = roomOf(network)
    const fresh = ids.filter((one) => !levels.has(one)).length
    for (let i = 0; i < fresh; i++) sweep(nowUs)
    if (fresh > 0 && levels.size + fresh > MAX_LEVELS) return
    for (const [i, one] of ids.entries()) {
      const members = levels.get(one)?.members
      if (!members?.has(id) && (members?.size ?? 0) >= room[i]!) return
    }
    for (const one of ids) {
      let level = levels.get(one)
      if (level === undefined) {
        level = { members: new Map(), aged: 0, idleUs }
        levels.set(one, level)
      }
      const before = level.members.get(id)
      const noted = { seenUs: nowUs, isAged: isAged || before?.isAged === true }
      if (noted.isAged && before?.isAged !== true) level.aged++
      level.members.delete(id)
      level.members.set(id, noted)
    }
  }

  return ({ network, id, idle, note }) => {
    const nowUs = clock.nowUs()
    const idleUs = idle * 1000
    const ids = idsOf(network)
    for (const one of ids) {
      const level = levels.get(one)
      if (level === undefined) continue
      level.idleUs = idleUs
      expire(level, nowUs)
    }
    if (note !== null) enter(network, id, note.isAged, idleUs, nowUs)
    const own = levels.get(network.id)?.members.get(id)
    return {
      standing: own === undefined ? 'absent' : own.isAged ? 'aged' : 'fresh',
      counts: ids.map((one) => {
        const level = levels.get(one)
        return level === undefined ? { members: 0, aged: 0 } : { members: level.members.size, aged: level.aged }
      }),
    }
  }
}

function idsOf({ id, parents }: Network): readonly string[] {
  return [id, ...parents.map((parent) => parent.id)]
}

function expire(level: Level, nowUs: number): void {
  for (const [id, { seenUs, isAged }] of level.members) {
    if (nowUs - seenUs < level.idleUs) return
    level.members.delete(id)
    if (isAged) level.aged--
  }
}
