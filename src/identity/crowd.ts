import { createDoorkeeper, type Doorkeeper, seenFor } from './doorkeeper.ts'
import type { Conduct, CrowdSize, Debut } from './identity.ts'

/** A device that spends with its network's members, or did until it fell idle. Times are microseconds. */
export type Member = {
  isAged: boolean
  seenUs: number
  readonly admittedUs: number
  readonly debut: Debut | null
  readonly conduct: Conduct
}

/** A bucket of admissions: debt in micro-tokens, time of the last write in microseconds. */
export type Admissions = { debt: number; timeUs: number }

/** What is kept of one network that has, or may come to have, members. It is plain data: there may be many. */
export type Crowd = {
  /** The last request from here. */
  seenUs: number
  expiredUs: number
  /** When the shared roll was last asked for its size. */
  recountedUs: number
  size: CrowdSize
  aged: number
  /** How many there are by the roll that instances share, those known here included; 0 where none is shared. */
  roll: { readonly members: number; readonly aged: number; readonly heardUs: number }
  /** Looks at the roll since a time. */
  readonly looks: { sinceUs: number; count: number }
  /** In the order in which they were last seen, to within `TOUCH_US`. */
  readonly members: Map<string, Member>
  /** The classes that have a slot. */
  readonly classes: Map<string, { readonly sinceUs: number; seenUs: number }>
  readonly seenClasses: Doorkeeper
  readonly seenTokens: Doorkeeper
  readonly admissions: Admissions
  readonly returns: Admissions
}

/** What a class may have: a slot, since a time (microseconds); no slot, for all are taken; or not yet one. */
export type Standing = number | 'none' | 'first'

export const ALONE: CrowdSize = { members: 0, halfWeights: 0 }

const SLOTS = 64
/** How long (microseconds) a slot may be idle before it is another's. */
const SLOT_IDLE_US = 60_000_000
/** Between two notes that a member is here: in between its place in the order of idleness may be a little off. */
const TOUCH_US = 10_000_000
const EXPIRY_US = 1_000_000
/** A flood of marks that are not admitted asks the roll no more often than this in a second. */
const MAX_LOOKS = 256
/** A crowd without members is nothing but memories of classes and tokens; so old they are not worth their space. */
const FORGET_US = 120_000_000

export function createCrowd(nowUs: number): Crowd {
  return {
    seenUs: nowUs,
    expiredUs: nowUs,
    recountedUs: nowUs,
    size: ALONE,
    aged: 0,
    roll: { members: 0, aged: 0, heardUs: nowUs },
    looks: { sinceUs: nowUs, count: 0 },
    members: new Map(),
    classes: new Map(),
    seenClasses: createDoorkeeper(),
    seenTokens: createDoorkeeper(),
    admissions: { debt: 0, timeUs: nowUs },
    returns: { debt: 0, timeUs: nowUs },
  }
}

export function addMember(crowd: Crowd, id: string, member: Member): void {
  crowd.members.set(id, member)
  if (member.isAged) crowd.aged++
  resize(crowd)
}

/** Whether it is time to note again that a member is here. */
export function isTouchDue({ seenUs }: Member, nowUs: number): boolean {
  return nowUs - seenUs >= TOUCH_US
}

/** Notes, in a network and its parents, that a member of all of them is here. */
export function touchMember(crowds: readonly Crowd[], id: string, member: Member, nowUs: number): void {
  member.seenUs = nowUs
  for (const { members } of crowds) {
    members.delete(id)
    members.set(id, member)
  }
}

/** A member has grown old enough to weigh more. */
export function ageMember(crowds: readonly Crowd[], member: Member): void {
  member.isAged = true
  for (const crowd of crowds) {
    crowd.aged++
    resize(crowd)
  }
}

/** Lets go of the members that have been idle for `idleUs`; looks once a second. */
export function expireMembers(crowd: Crowd, nowUs: number, idleUs: number): void {
  if (nowUs - crowd.expiredUs < EXPIRY_US) return
  crowd.expiredUs = nowUs
  for (const [id, member] of crowd.members) {
    if (nowUs - member.seenUs < idleUs) break
    crowd.members.delete(id)
    if (member.isAged) crowd.aged--
  }
  if (nowUs - crowd.roll.heardUs >= idleUs) crowd.roll = { members: 0, aged: 0, heardUs: nowUs }
  resize(crowd)
}

/** Gives a class a slot when it is seen again; one that is seen once takes none, or a flood would take them all. */
export function standingOf(crowd: Crowd, classId: string, nowUs: number): Standing {
  const known = crowd.classes.get(classId)
  if (known !== undefined) {
    known.seenUs = nowUs
    return known.sinceUs
  }
  if (seenFor(crowd.seenClasses, classId, nowUs) === 0) return 'first'
  if (crowd.classes.size >= SLOTS && !freeSlot(crowd, nowUs)) return 'none'
  crowd.classes.set(classId, { sinceUs: nowUs, seenUs: nowUs })
  return nowUs
}

/** Whether nothing would be lost with a crowd. */
export function isForgettable(crowd: Crowd, nowUs: number, idleUs: number): boolean {
  if (nowUs - crowd.seenUs < FORGET_US) return false
  expireMembers(crowd, nowUs, idleUs)
  return crowd.members.size === 0
}

/** Takes over what the roll says: others may know members that nobody here has seen. */
export function hearRoll(crowd: Crowd, { members, aged }: { members: number; aged: number }, nowUs: number): void {
  crowd.roll = { members, aged, heardUs: nowUs }
  resize(crowd)
}

/**
 * Whether one more look at the roll is within what a network and each of its parents, `factor` times one network, may ask for
 * in a second; counts it. A flood may come from all the networks of a parent in turn.
 */
export function takeLook(crowds: readonly Crowd[], factors: readonly number[], nowUs: number): boolean {
  for (const { looks } of crowds) {
    if (nowUs - looks.sinceUs < EXPIRY_US) continue
    looks.sinceUs = nowUs
    looks.count = 0
  }
  if (crowds.some(({ looks }, level) => looks.count >= MAX_LOOKS * (factors[level] ?? 1))) return false
  for (const { looks } of crowds) looks.count++
  return true
}

function resize(crowd: Crowd): void {
  const members = Math.max(crowd.members.size, crowd.roll.members)
  const halfWeights = members + Math.max(crowd.aged, crowd.roll.aged)
  if (members === crowd.size.members && halfWeights === crowd.size.halfWeights) return
  crowd.size = members === 0 ? ALONE : { members, halfWeights }
}

function freeSlot({ classes }: Crowd, nowUs: number): boolean {
  for (const [id, { seenUs }] of classes) {
    if (nowUs - seenUs < SLOT_IDLE_US) continue
    classes.delete(id)
    return true
  }
  return false
}
