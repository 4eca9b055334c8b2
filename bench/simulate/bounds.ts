import { LIMIT } from './proxy-under-test.ts'
import type { Times } from './schedule.ts'

/** What an attacker may pass at most, by a formula of the identity design: r and B of the limit, T seconds of attack. */
export type Bound = { readonly formula: string; readonly requests: number }

const { rate: r, burst: B } = LIMIT
/** Members of a network at most, how many are admitted at once, and how many a second. */
const ADMISSION = { maxDevices: 512, burst: 128, rate: 64 / 60 }
/** Seconds after which a cookie is admitted ten times as fast, its owner's whole farm with it. */
const RETURNING = 60

/** The bound of a strategy; null where there is none (residential proxies). `honest` devices share its network. */
export function boundOf(id: string, { attack }: Times, honest = 0): Bound | null {
  const T = attack.to - attack.from
  switch (id) {
    case 'S1':
    case 'S7':
    case 'S11':
    case 'S12':
      return { formula: 'B + rT', requests: B + r * T }
    case 'S2':
    case 'S3':
    case 'S4':
      return { formula: '2B + 5rT', requests: 2 * B + 5 * r * T }
    case 'S6':
      return { formula: '4(2B + 5rT)', requests: 4 * (2 * B + 5 * r * T) }
    case 'S5':
      return { formula: 'farm, m = 128 + 64/min, after a minute 512', requests: farm(T, RETURNING, 0.5) }
    case 'S10':
      return { formula: 'farm, m = 512', requests: farm(T, 0, 1) }
    case 'S13':
      return { formula: 'farm, m = 512', requests: farm(T, 0, 1) }
    case 'S9':
    case 'S14': {
      const m = Math.min(honest, ADMISSION.maxDevices)
      return { formula: '2B + (5 + 0.02 m) rT', requests: 2 * B + (5 + 0.02 * m) * r * T }
    }
    default:
      return null
  }
}

/**
 * Both pools' bursts, and T (15r + m (0.25 w + 0.02) r), w being the weight of a member: 0.5 while its cookie is fresh. While
 * its cookies are `slowFor` seconds old or less m grows as admission lets it, then the farm may fill its network. The members'
 * burst is max(two seconds of their rate, 3B + 0.05 B m w).
 */
function farm(T: number, slowFor: number, weight: number): number {
  const perMember = (0.25 * weight + 0.02) * r
  const { maxDevices, burst, rate } = ADMISSION
  const membersAt = (t: number) => (t > slowFor ? maxDevices : Math.min(maxDevices, burst + rate * t))
  const m = membersAt(T)
  const membersBurst = Math.max(2 * (10 + 0.25 * weight * m) * r, 3 * B + 0.05 * B * weight * m)
  let requests = 2 * B + membersBurst + 15 * r * T
  for (let t = 0; t < T; t++) requests += membersAt(t + 1) * perMember
  return requests
}
