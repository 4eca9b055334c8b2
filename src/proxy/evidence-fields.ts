import type { Evidence } from '../identity/evidence.ts'
import type { LimitKeys } from '../identity/limit-keys.ts'
import type { Decision } from '../limiter/decision.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import type { Enrolment, IdentityPolicy } from '../policy/types.ts'

/** What a decision was taken on. */
export type Judged = {
  /** Of the process's decisions, from 1: lines are written when requests end, in another order. */
  readonly number: number
  /** The one instant of the decision: microseconds of the process's clock, milliseconds since the epoch. */
  readonly clockUs: number
  readonly wallMs: number
  readonly evidence: Evidence
  /** The limits that matched. */
  readonly plans: readonly LimitPlan[]
  /** Those of the limits that have a list of sources. */
  readonly keys: LimitKeys | null
}

/** An access line's part from which `sluice replay` takes the same decision again. Pseudonyms and numbers, nothing raw. */
export type EvidenceFields = {
  readonly decision: number
  readonly clock_us: number
  readonly limits: readonly string[]
  /** Left out where it is `allowed`. */
  readonly verdict?: 'limited' | 'missing' | 'unavailable'
  readonly network: string
  /** Of the wider networks, nearest first. */
  readonly parents?: readonly string[]
  /** Where the network is one that the policy knows: what it has instead of the default. */
  readonly max_devices?: number
  readonly factors?: readonly number[]
  readonly class: string
  readonly nameless?: true
  readonly principal?: { readonly id: string; readonly enrolment: Enrolment }
  readonly device?: { readonly id: string; readonly age_ms: number; readonly grade: number; readonly home: boolean }
  readonly token?: string
  /** By limit with a list of sources: what they say together, but for `device`; and the limits of which one was left out. */
  readonly keys?: Readonly<Record<string, string>>
  readonly missing?: readonly string[]
}

/** `decision`: null where the client went before it was taken. */
export function evidenceFields(
  judged: Judged,
  decision: Decision | null,
  { admission, network: usual }: IdentityPolicy,
): EvidenceFields {
  const { number, clockUs, wallMs, evidence, plans, keys } = judged
  const { network, principal, device, token } = evidence
  const { parents, maxDevices } = network
  const isUsual = parents.every(({ factor }, i) => factor === usual.ipv6Parents[i]?.factor)
  return {
    decision: number,
    clock_us: clockUs,
    limits: plans.map(({ limit }) => limit.name),
    ...(decision !== null && decision.verdict !== 'allowed' && { verdict: decision.verdict }),
    network: network.id,
    ...(parents.length > 0 && { parents: parents.map(({ id }) => id) }),
    ...(maxDevices !== admission.maxDevices && { max_devices: maxDevices }),
    ...(!isUsual && { factors: parents.map(({ factor }) => factor) }),
    class: evidence.classId,
    ...(evidence.isNameless && { nameless: true }),
    ...(principal !== null && { principal: { id: principal.id, enrolment: principal.enrolment } }),
    ...(device !== null && {
      device: { id: device.id, age_ms: wallMs - device.issuedMs, grade: device.grade, home: device.isHome },
    }),
    ...(token !== null && { token: token.id }),
    ...(keys !== null && keyFields(keys)),
  }
}

function keyFields(keys: LimitKeys): Pick<EvidenceFields, 'keys' | 'missing'> {
  const missing = [...keys].flatMap(([name, { isMissing }]) => (isMissing ? [name] : []))
  const named = Object.fromEntries([...keys].map(([name, key]) => [name, key.name('')]))
  return missing.length === 0 ? { keys: named } : { keys: named, missing }
}
