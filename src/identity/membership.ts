import type { AdmissionPolicy } from '../policy/types.ts'
import { type AdmissionResult, takeAdmission } from './admission.ts'
import { beginConduct, isAged } from './conduct.ts'
import {
  ALONE,
  addMember,
  ageMember,
  type Crowd,
  createCrowd,
  expireMembers,
  isForgettable,
  isTouchDue,
  type Member,
  standingOf,
  touchMember,
} from './crowd.ts'
import { seenFor } from './doorkeeper.ts'
import type { Evidence, Pseudonym } from './evidence.ts'
import type { CrowdSize, Identity, Network, Tier } from './identity.ts'

export type Membership = {
  /** Who a request comes from, by what it shows. Times: microseconds of the clock, milliseconds since the epoch. */
  stand(evidence: Evidence, nowUs: number, wallMs: number): Identity
  /** Puts a new policy in force; members stay. */
  use(policy: AdmissionPolicy): void
  /** The networks of which something is kept. */
  size(): number
}

export type MembershipOptions = {
  readonly policy: AdmissionPolicy
  readonly onAdmission?: (result: AdmissionResult) => void
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
const ALONE_HERE: readonly CrowdSize[] = [ALONE]

/**
 * Tells who is a member of their network, and admits new ones (identity.md sections 2 and 3). How fast a network may bring
 * devices, and how many, is bounded: a farm of identities gains no more than that. Everybody else is a newcomer.
 */
export function createMembership(options: MembershipOptions): Membership {
  let { policy } = options
  const crowds = new Map<string, Crowd>()
  let sweeping = crowds.entries()

  function stand(evidence: Evidence, nowUs: number, wallMs: number): Identity {
    const { principal, network, device, token } = evidence
    if (principal !== null && principal.enrolment === 'controlled') return proved(network, principal)
    const own = device ?? principal ?? token
    const crowd = crowdOf(network.id, nowUs, own !== null)
    if (own === null || crowd === undefined) return newcomer(evidence, own, crowd, nowUs)
    const known = crowd.members.get(own.id)
    if (known !== undefined) return member(evidence, own, crowd, known, nowUs, wallMs)
    if (own === token && seenFor(crowd.seenTokens, token.id, nowUs) < STABLE_US) {
      return newcomer(evidence, own, crowd, nowUs)
    }
    const admitted = admit(evidence, own, nowUs, wallMs)
    if (admitted === null) return newcomer(evidence, own, crowd, nowUs)
    return member(evidence, own, crowd, admitted, nowUs, wallMs)
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
    if (isTouchDue(known, nowUs)) touchMember(levelsOf(network, nowUs), own.id, known, nowUs)
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
    const { network, device } = evidence
    const levels = levelsOf(network, nowUs)
    const isReturning = device !== null && wallMs - device.issuedMs >= RETURNING_MS
    // A parent of which nothing can be kept any more has no room either.
    const isWhole = levels.length === network.parents.length + 1
    const result = isWhole ? takeAdmission(policy, network, levels, isReturning, nowUs) : 'full'
    options.onAdmission?.(result)
    if (result !== 'admitted') return null
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
  }
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
  if (crowd === undefined || crowd.members.size === 0) return { tier, classId, isSettled: true }
  const standing = standingOf(crowd, classId, nowUs)
  if (standing !== 'none') return { tier, classId, isSettled: standing !== 'first' && nowUs - standing >= KNOWN_US }
  const slot = classId.charCodeAt(0) % OVERFLOW_SLOTS
  return { tier: 'overflow', classId: `${network.id}~${slot}`, isSettled: false }
}
