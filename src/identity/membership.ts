import { LRUCache } from 'lru-cache'
import { isAdmitted } from '../limiter/store.ts'
import type { AdmissionPolicy } from '../policy/types.ts'
import { type AdmissionResult, admissionDebits, takeAdmission } from './admission.ts'
import { beginConduct, isAged } from './conduct.ts'
import {
  ALONE,
  addMember,
  ageMember,
  type Crowd,
  createCrowd,
  expireMembers,
  hearRoll,
  isForgettable,
  isTouchDue,
  type Member,
  standingOf,
  takeLook,
  touchMember,
} from './crowd.ts'
import { seenFor } from './doorkeeper.ts'
import type { Evidence, Pseudonym } from './evidence.ts'
import type { CrowdSize, Identity, Network, Tier } from './identity.ts'
import { type Roll, type RollAnswer, roomOf } from './roll.ts'

export type Membership = {
  /**
   * Who a request comes from, by what it shows. Times: microseconds of the clock, milliseconds since the epoch. A promise only
   * where a roll is shared and the identity is not known here; it never rejects.
   */
  stand(evidence: Evidence, nowUs: number, wallMs: number): Identity | Promise<Identity>
  /** Puts a new policy in force; members stay. */
  use(policy: AdmissionPolicy): void
  /** The networks of which something is kept. */
  size(): number
  /** One that knows the same of a network and its parents, and by which nothing changes here. */
  copy(network: Network, roll: Roll | null): Membership
  /** How large the crowd of a network is, by its pseudonym. */
  crowdSize(networkId: string): CrowdSize
}

export type MembershipOptions = {
  readonly policy: AdmissionPolicy
  readonly onAdmission?: (result: AdmissionResult) => void
  /** What instances share of their members. */
  readonly roll?: Roll | null
  /** What is known of networks at the start, by their pseudonyms. */
  readonly crowds?: Map<string, Crowd>
}

/** A membership that shares nothing answers at once. */
export type LocalMembership = Omit<Membership, 'stand'> & {
  stand(evidence: Evidence, nowUs: number, wallMs: number): Identity
}

/** Networks of which something is kept at a time; those beyond get no members. */
const MAX_CROWDS = 100_000
/** Crowds looked at, for ones that can be forgotten, whenever one is made. */
const SWEEP = 4
/** How long (microseconds) after its first sight a token that comes again counts as a stable one. */
const STABLE_US = 1_000_000
/** How long a class must have been known to take what newcomers are kept from. */
const KNOWN_US = 120_000_000
/** How long after its admission a member pays for the buckets it gets. */
const DEBUT_US = 60_000_000
/** Milliseconds since the minute of its issue from which a mark is more than a minute old for sure. */
const RETURNING_MS = 120_000
const OVERFLOW_SLOTS = 16
/** A crowd of so many is counted anew after a second, a smaller one after twelve; whoever of it is noted as here brings the count too. */
const LARGE = 16
const RECOUNT_US = 1_000_000
const RECOUNT_SMALL_US = 12_000_000
/** How long (microseconds) an identity that was not admitted counts as such, without the roll being asked again; how many at most. */
const TURNED_AWAY_US = 1_000_000
const MAX_TURNED_AWAY = 10_000
const ALONE_HERE: readonly CrowdSize[] = [ALONE]

/**
 * Tells who is a member of their network, and admits new ones (identity.md sections 2 and 3). How fast a network may bring
 * devices, and how many, is bounded: a farm of identities gains no more than that. Everybody else is a newcomer.
 */
export function createMembership(options: Omit<MembershipOptions, 'roll'>): LocalMembership
export function createMembership(options: MembershipOptions): Membership
export function createMembership(options: MembershipOptions): Membership {
  let { policy } = options
  const { roll = null, onAdmission } = options
  const turnedAway = new LRUCache<string, number>({ max: MAX_TURNED_AWAY })
  /** Those whom the roll is being asked about. */
  const asking = new Map<string, Promise<Member | null>>()
  const { crowds = new Map<string, Crowd>() } = options
  let sweeping = crowds.entries()

  function stand(evidence: Evidence, nowUs: number, wallMs: number): Identity | Promise<Identity> {
    const { principal, network, device, token } = evidence
    if (principal !== null && principal.enrolment === 'controlled') return proved(network, principal)
    const own = device ?? principal ?? token
    const crowd = crowdOf(network.id, nowUs, own !== null)
    if (roll !== null && crowd !== undefined) recount(network, crowd, nowUs)
    if (own === null || crowd === undefined) return newcomer(evidence, own, crowd, nowUs)
    const known = crowd.members.get(own.id)
    if (known !== undefined) return member(evidence, own, crowd, known, nowUs, wallMs)
    if (own === token && seenFor(crowd.seenTokens, token.id, nowUs) < STABLE_US) {
      return newcomer(evidence, own, crowd, nowUs)
    }
    const settle = (admitted: Member | null) =>
      admitted === null ? newcomer(evidence, own, crowd, nowUs) : member(evidence, own, crowd, admitted, nowUs, wallMs)
    if (roll === null) return settle(admit(evidence, own, nowUs, wallMs))
    const key = `${network.id}:${own.id}`
    if (nowUs - (turnedAway.get(key) ?? Number.NEGATIVE_INFINITY) < TURNED_AWAY_US) return settle(null)
    let asked = asking.get(key) ?? null
    if (asked === null) {
      if (!takeLook(levelsOf(network, nowUs), factorsOf(network), nowUs)) return settle(null)
      asked = ask(roll, key, evidence, own, nowUs, wallMs)
    }
    return asked === null ? settle(admit(evidence, own, nowUs, wallMs)) : asked.then(settle)
  }

  /** Asks the roll, once for all requests of an identity that come meanwhile; null at once while the store is away. */
  function ask(
    shared: Roll,
    key: string,
    evidence: Evidence,
    own: Pseudonym,
    nowUs: number,
    wallMs: number,
  ): Promise<Member | null> | null {
    const { network } = evidence
    const looking = shared.call({ network, id: own.id, idle: policy.idle, note: null }, nowUs)
    if (looking === null) return null
    const asked = looking
      .then((answer) => admitShared(shared, answer, evidence, own, nowUs, wallMs))
      .then((admitted) => {
        if (admitted === null) turnedAway.set(key, nowUs)
        return admitted
      })
      .finally(() => asking.delete(key))
    asking.set(key, asked)
    return asked
  }

  /** Takes over whom the roll knows, and enters whom it does not, if there is an admission left for all instances together. */
  async function admitShared(
    shared: Roll,
    looked: RollAnswer | null,
    evidence: Evidence,
    own: Pseudonym,
    nowUs: number,
    wallMs: number,
  ): Promise<Member | null> {
    const { network, device } = evidence
    // Where the store fails an instance goes on by itself, as its buckets do.
    if (looked === null) return admit(evidence, own, nowUs, wallMs)
    const levels = levelsOf(network, nowUs)
    const grade = device?.isHome ? device.grade : 0
    const known = { seenUs: nowUs, conduct: beginConduct(grade, nowUs) }
    hear(levels, looked, nowUs)
    if (looked.standing !== 'absent') {
      // What its buckets began with it has paid for where it was admitted.
      const member: Member = { ...known, isAged: looked.standing === 'aged', admittedUs: nowUs, debut: null }
      for (const crowd of levels) addMember(crowd, own.id, member)
      return member
    }
    if (looked.counts.some(({ members }, level) => members >= roomOf(network)[level]!)) return refuse('full')
    const isReturning = isReturningWith(evidence, wallMs)
    const debits = admissionDebits(policy, network, isReturning)
    const debts = await shared.charge(debits, nowUs)
    if (debts === null) return admit(evidence, own, nowUs, wallMs)
    if (!debits.every((debit, i) => isAdmitted(debit, debts[i]!))) return refuse('limited')
    const isOld = device !== null && isAged(device, grade, wallMs)
    const noted = await shared.call({ network, id: own.id, idle: policy.idle, note: { isAged: isOld } }, nowUs)
    if (noted?.standing === 'absent') return refuse('full')
    if (noted !== null) hear(levels, noted, nowUs)
    onAdmission?.('admitted')
    return enter(evidence, own, levels, isReturning, nowUs, wallMs)
  }

  function refuse(result: AdmissionResult): null {
    onAdmission?.(result)
    return null
  }

  /** Notes on the shared roll, behind the request's back, that a member is here. */
  function note(network: Network, own: Pseudonym, { isAged }: Member, nowUs: number): void {
    void roll
      ?.call({ network, id: own.id, idle: policy.idle, note: { isAged } }, nowUs)
      ?.then((answer) => answer && hear(levelsOf(network, nowUs), answer, nowUs))
  }

  /** Learns, behind the request's back, how large a crowd is. */
  function recount(network: Network, crowd: Crowd, nowUs: number): void {
    const { members } = crowd.size
    if (members === 0 || nowUs - crowd.recountedUs < (members < LARGE ? RECOUNT_SMALL_US : RECOUNT_US)) return
    crowd.recountedUs = nowUs
    void roll
      ?.call({ network, id: '', idle: policy.idle, note: null }, nowUs)
      ?.then((answer) => answer && hear(levelsOf(network, nowUs), answer, nowUs))
  }

  function hear(levels: readonly Crowd[], { counts }: RollAnswer, nowUs: number): void {
    if (levels.length !== counts.length) return
    for (const [i, crowd] of levels.entries()) {
      hearRoll(crowd, counts[i]!, nowUs)
      crowd.recountedUs = Math.max(crowd.recountedUs, nowUs)
    }
  }

  function member(
    evidence: Evidence,
    own: Pseudonym,
    crowd: Crowd,
    known: Member,
    nowUs: number,
    wallMs: number,
  ): Identity {
    const { principal, device, network } = evidence
    if (isTouchDue(known, nowUs)) {
      touchMember(levelsOf(network, nowUs), own.id, known, nowUs)
      if (roll !== null) note(network, own, known, nowUs)
    }
    if (device?.isHome) {
      known.conduct.grade = Math.max(known.conduct.grade, device.grade)
      if (!known.isAged && isAged(device, known.conduct.grade, wallMs)) ageMember(levelsOf(network, nowUs), known)
    }
    return {
      tier: device !== null ? 'member' : principal !== null ? 'principal' : 'token',
      id: own.id,
      tag: own.tag,
      network,
      own,
      pool: 'members',
      classId: '',
      isSettled: known.isAged,
      crowds: sizesOf(network, crowd, nowUs),
      debut: nowUs - known.admittedUs < DEBUT_US ? known.debut : null,
      conduct: known.conduct,
    }
  }

  function newcomer(evidence: Evidence, own: Pseudonym | null, crowd: Crowd | undefined, nowUs: number): Identity {
    const { network, principal } = evidence
    const place = placeOf(evidence, crowd, nowUs)
    return {
      tier: principal === null ? place.tier : 'principal',
      id: own?.id ?? place.classId,
      tag: own?.tag ?? network.tag,
      network,
      own,
      pool: 'newcomers',
      classId: place.classId,
      isSettled: place.isSettled,
      crowds: sizesOf(network, crowd, nowUs),
      debut: null,
      conduct: null,
    }
  }

  function admit(evidence: Evidence, own: Pseudonym, nowUs: number, wallMs: number): Member | null {
    const { network } = evidence
    const levels = levelsOf(network, nowUs)
    const isReturning = isReturningWith(evidence, wallMs)
    // A parent of which nothing can be kept any more has no room either.
    const isWhole = levels.length === network.parents.length + 1
    const result = isWhole ? takeAdmission(policy, network, levels, isReturning, nowUs) : 'full'
    onAdmission?.(result)
    return result === 'admitted' ? enter(evidence, own, levels, isReturning, nowUs, wallMs) : null
  }

  /** Makes a member of who was admitted. */
  function enter(
    evidence: Evidence,
    own: Pseudonym,
    levels: readonly Crowd[],
    isReturning: boolean,
    nowUs: number,
    wallMs: number,
  ): Member {
    const { device } = evidence
    const grade = device?.isHome ? device.grade : 0
    const admitted: Member = {
      isAged: device !== null && isAged(device, grade, wallMs),
      seenUs: nowUs,
      admittedUs: nowUs,
      // Who returns has had its bucket before.
      debut: isReturning ? null : { classId: placeOf(evidence, levels[0], nowUs).classId, paid: new Set() },
      conduct: beginConduct(grade, nowUs),
    }
    for (const crowd of levels) addMember(crowd, own.id, admitted)
    return admitted
  }

  /** What is kept of a network. Where that is nothing yet, a crowd is made if it is wanted and there is room. */
  function crowdOf(id: string, nowUs: number, isWanted: boolean): Crowd | undefined {
    let crowd = crowds.get(id)
    if (crowd === undefined) {
      if (!isWanted) return undefined
      sweep(nowUs)
      if (crowds.size >= MAX_CROWDS) return undefined
      crowd = createCrowd(nowUs)
      crowds.set(id, crowd)
    }
    crowd.seenUs = nowUs
    expireMembers(crowd, nowUs, policy.idle * 1000)
    return crowd
  }

  /** The crowds of a network and its parents; fewer where there is no room for them. */
  function levelsOf({ id, parents }: Network, nowUs: number): readonly Crowd[] {
    return [id, ...parents.map((parent) => parent.id)]
      .map((one) => crowdOf(one, nowUs, true))
      .filter((crowd) => crowd !== undefined)
  }

  function sizesOf({ parents }: Network, crowd: Crowd | undefined, nowUs: number): readonly CrowdSize[] {
    const own = crowd?.size ?? ALONE
    if (parents.length === 0) return own === ALONE ? ALONE_HERE : [own]
    return [own, ...parents.map((parent) => crowdOf(parent.id, nowUs, false)?.size ?? ALONE)]
  }

  function sweep(nowUs: number): void {
    for (let i = 0; i < SWEEP; i++) {
      const next = sweeping.next()
      if (next.done) {
        sweeping = crowds.entries()
        return
      }
      if (isForgettable(next.value[1], nowUs, policy.idle * 1000)) crowds.delete(next.value[0])
    }
  }

  return {
    stand,
    use(next) {
      policy = next
    },
    size: () => crowds.size,
    copy({ id, parents }, sharedRoll) {
      const known = [id, ...parents.map((parent) => parent.id)].flatMap((one) => {
        const crowd = crowds.get(one)
        return crowd === undefined ? [] : [[one, crowd] as const]
      })
      // In one go: a member stands in each of the crowds, and is one.
      return createMembership({ policy, roll: sharedRoll, crowds: new Map(structuredClone(known)) })
    },
    crowdSize: (networkId) => crowds.get(networkId)?.size ?? ALONE,
  }
}

function factorsOf({ parents }: Network): readonly number[] {
  return [1, ...parents.map(({ factor }) => factor)]
}

function isReturningWith({ device }: Evidence, wallMs: number): boolean {
  return device !== null && wallMs - device.issuedMs >= RETURNING_MS
}

/** Someone who stands alone, wherever the request comes from. */
function proved(network: Network, principal: Pseudonym): Identity {
  return {
    tier: 'principal',
    id: principal.id,
    tag: principal.tag,
    network,
    own: principal,
    pool: 'none',
    classId: '',
    isSettled: true,
    crowds: ALONE_HERE,
    debut: null,
    conduct: null,
  }
}

/**
 * Which bucket a class has: its own, or one that many share where all slots of the network are taken. In a network without
 * members there is nobody to keep anything for, and its newcomers' pool alone bounds the classes.
 */
function placeOf(
  { classId, isNameless, network }: Evidence,
  crowd: Crowd | undefined,
  nowUs: number,
): { readonly tier: Tier; readonly classId: string; readonly isSettled: boolean } {
  const tier = isNameless ? 'overflow' : 'class'
  if (crowd === undefined || crowd.size.members === 0) return { tier, classId, isSettled: true }
  const standing = standingOf(crowd, classId, nowUs)
  if (standing !== 'none') return { tier, classId, isSettled: standing !== 'first' && nowUs - standing >= KNOWN_US }
  const slot = classId.charCodeAt(0) % OVERFLOW_SLOTS
  return { tier: 'overflow', classId: `${network.id}~${slot}`, isSettled: false }
}
