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

/** A log line in the making. */
export type Line = { -readonly [Name in keyof EvidenceFields]?: EvidenceFields[Name] } & Record<string, unknown>

/** Adds the fields of evidence to an access line. `decision`: null where the client went before it was taken. */
export function addEvidence(
  line: Line,
  judged: Judged,
  decision: Decision | null,
  { admission, network: usual }: IdentityPolicy,
): void {
  const { number, clockUs, wallMs, evidence, plans, keys } = judged
  const { network, principal, device, token } = evidence
  const { parents, maxDevices } = network
  line.decision = number
  line.clock_us = clockUs
  line.limits = plans.map(({ limit }) => limit.name)
  if (decision !== null && decision.verdict !== 'allowed') line.verdict = decision.verdict
  line.network = network.id
  if (parents.length > 0) line.parents = parents.map(({ id }) => id)
  if (maxDevices !== admission.maxDevices) line.max_devices = maxDevices
  const isUsual = parents.every(({ factor }, i) => factor === usual.ipv6Parents[i]?.factor)
  if (!isUsual) line.factors = parents.map(({ factor }) => factor)
  line.class = evidence.classId
  if (evidence.isNameless) line.nameless = true
  if (principal !== null) line.principal = { id: principal.id, enrolment: principal.enrolment }
  if (device !== null) {
    line.device = { id: device.id, age_ms: wallMs - device.issuedMs, grade: device.grade, home: device.isHome }
  }
  if (token !== null) line.token = token.id
  if (keys === null) return
  line.keys = Object.fromEntries([...keys].map(([name, key]) => [name, key.name('')]))
  const missing = [...keys].flatMap(([name, { isMissing }]) => (isMissing ? [name] : []))
  if (missing.length > 0) line.missing = missing
}
