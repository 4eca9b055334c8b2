import { admits, type Bucket, debtAt, TOKEN, timeAfter } from '../limiter/bucket.ts'
import type { Debit } from '../limiter/store.ts'
import { FACTORS } from '../policy/factors.ts'
import type { AdmissionPolicy } from '../policy/types.ts'
import type { Admissions, Crowd } from './crowd.ts'
import type { Network } from './identity.ts'
import { roomOf } from './roll.ts'

/** What became of a device that might have been admitted: its network was full, or had too many new ones lately. */
export type AdmissionResult = 'admitted' | 'full' | 'limited'

/**
 * Takes an admission from a network and from each of its parents, from all of them or from none: how fast identities are
 * minted is bounded, and how many are live. Who returns with a mark that is no longer fresh has a lane of its own, ten times as
 * wide: a restart with nothing in memory must not lock an office out. `levels` are the crowds of the network and its parents.
 */
export function takeAdmission(
  policy: AdmissionPolicy,
  network: Network,
  levels: readonly Crowd[],
  isReturning: boolean,
  nowUs: number,
): AdmissionResult {
  const debts: number[] = []
  const buckets = admissionBuckets(policy, network, isReturning)
  const room = roomOf(network)
  for (const [level, crowd] of levels.entries()) {
    if (crowd.members.size >= room[level]!) return 'full'
    const bucket = buckets[level]!
    const { debt, timeUs } = laneOf(crowd, isReturning)
    const owed = debtAt(bucket, debt, timeUs, nowUs)
    if (!admits(bucket, owed, TOKEN)) return 'limited'
    debts.push(owed)
  }
  for (const [level, crowd] of levels.entries()) {
    const lane = laneOf(crowd, isReturning)
    lane.debt = debts[level]! + TOKEN
    lane.timeUs = timeAfter(lane.timeUs, nowUs)
  }
  return 'admitted'
}

/** The same admission as debits for a store that instances share; its bucket names are no limit's. */
export function admissionDebits(policy: AdmissionPolicy, network: Network, isReturning: boolean): readonly Debit[] {
  const { tag } = network
  const ids = [network.id, ...network.parents.map(({ id }) => id)]
  return admissionBuckets(policy, network, isReturning).map((bucket, level) => {
    return { bucket, id: ids[level]!, tag, cost: TOKEN, group: 0, reserve: 0, floor: 0 }
  })
}

/** Of the network, then of each parent. */
function admissionBuckets({ burst, rate }: AdmissionPolicy, network: Network, isReturning: boolean): readonly Bucket[] {
  return [1, ...network.parents.map(({ factor }) => factor)].map((ofLevel) => {
    const factor = isReturning ? ofLevel * FACTORS.laneWidth : ofLevel
    const name = isReturning ? '+returns' : '+admissions'
    return { name, capacity: burst * factor * TOKEN, tokens: rate.tokens * factor, seconds: rate.seconds }
  })
}

function laneOf(crowd: Crowd, isReturning: boolean): Admissions {
  return isReturning ? crowd.returns : crowd.admissions
}
