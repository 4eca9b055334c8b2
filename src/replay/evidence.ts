import type { Evidence, Pseudonym } from '../identity/evidence.ts'
import { tagOf } from '../identity/pseudonym.ts'
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

function named(id: string): Pseudonym {
  return { id, tag: tagOf(id) }
}
