import { admits, type Bucket, debtAt, TOKEN, timeAfter } from '../limiter/bucket.ts'
import { FACTORS } from '../policy/factors.ts'
import type { AdmissionPolicy } from '../policy/types.ts'
import type { Admissions, Crowd } from './crowd.ts'
import type { Network } from './identity.ts'

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
  for (const [level, crowd] of levels.entries()) {
    const factor = level === 0 ? 1 : network.parents[level - 1]!.factor
    if (crowd.members.size >= network.maxDevices * factor) return 'full'
    const bucket = admissionBucket(policy, isReturning ? factor * FACTORS.laneWidth : factor)
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

function admissionBucket({ burst, rate }: AdmissionPolicy, factor: number): Bucket {
  return { name: 'admission', capacity: burst * factor * TOKEN, tokens: rate.tokens * factor, seconds: rate.seconds }
}

function laneOf(crowd: Crowd, isReturning: boolean): Admissions {
  return isReturning ? crowd.returns : crowd.admissions
}
