import type { Evidence, Pseudonym } from '../identity/evidence.ts'
import type { Network } from '../identity/identity.ts'
import type { LimitKey, LimitKeys } from '../identity/limit-keys.ts'
import { tagOf } from '../identity/pseudonym.ts'
import type { LimitPlan } from '../limiter/plan.ts'
import type { IdentityPolicy } from '../policy/types.ts'
import type { EvidenceFields } from '../proxy/evidence-fields.ts'

/**
 * The evidence that an access line bears, as it was when the request was decided. What the line leaves out is as the policy has it for
 * any network. Only what decides is whole: sources and addresses are not told. `wallMs`: milliseconds since the epoch.
 */
export function readEvidence(fields: EvidenceFields, policy: IdentityPolicy, wallMs: number): Evidence {
  const { network: id, parents = [], factors, max_devices: maxDevices, principal, device, token } = fields
  const usual = policy.network.ipv6Parents
  return {
    network: {
      id,
      tag: tagOf(parents.at(-1) ?? id),
      address: '',
      parents: parents.map((parent, i) => ({ id: parent, factor: factors?.[i] ?? usual[i]?.factor ?? 1 })),
      maxDevices: maxDevices ?? policy.admission.maxDevices,
    },
    principal:
      principal === undefined ? null : { ...named(principal.id), source: 'jwt', enrolment: principal.enrolment },
    device:
      device === undefined || !policy.deviceCookie.enabled
        ? null
        : {
            ...named(device.id),
            via: 'cookie',
            issuedMs: wallMs - device.age_ms,
            grade: device.grade,
            isHome: device.home,
          },
    token: token === undefined ? null : named(token),
    classId: fields.class,
    isNameless: fields.nameless === true,
  }
}

/**
 * The keys of the limits that have a list of sources, as the line bears them: what `device` adds is put behind them, which names
 * other buckets than the proxy did and as many. A limit of which it bears none counts as one whose sources were left out.
 */
export function readKeys(
  { keys = {}, missing = [] }: EvidenceFields,
  plans: readonly LimitPlan[],
  network: Network,
): LimitKeys | null {
  const found = new Map<string, LimitKey>()
  for (const { limit } of plans) {
    const { name, per } = limit
    if (typeof per === 'string') continue
    const isPerNetwork = per.some(({ kind }) => kind === 'network')
    const key = keys[name] ?? 'none'
    found.set(name, {
      isMissing: keys[name] === undefined || missing.includes(name),
      name: (deviceId) => key + deviceId,
      tag: (id) => (isPerNetwork ? network.tag : tagOf(id)),
    })
  }
  return found.size === 0 ? null : found
}

function named(id: string): Pseudonym {
  return { id, tag: tagOf(id) }
}
