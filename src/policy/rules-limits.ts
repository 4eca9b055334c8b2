import type { Draft, LimitDraft, Report } from './draft.ts'
import { burstOf, isPerDevice, newcomersOf } from './limit-rates.ts'
import { checkSources } from './rules-sources.ts'
import { grouped, show } from './show.ts'
import { MAX_BURST, rateText } from './units.ts'

/** What must hold between the keys of limits, and between limits. */
export function checkLimits(draft: Draft, report: Report): void {
  checkNames(draft, 'limits', report)
  for (const [index, limit] of (draft.limits ?? []).entries()) {
    if (limit === undefined) continue
    const at: Report = (path, message) => report(['limits', index, ...path], message)
    checkBurst(limit, at)
    checkNewcomers(limit, at)
    checkPer(limit, draft, at)
  }
}

/** What is odd about limits without being wrong. */
export function warnAboutLimits(draft: Draft, warn: Report): void {
  if (draft.limits?.length === 0)
    warn(['limits'], 'is an empty list: nothing is limited; write a limit, or leave limits out for the default')
  else if (draft.limits?.every((limit) => Object.keys(limit?.match?.header ?? {}).length > 0)) {
    warn(
      ['limits'],
      'all match by headers, which a client may send or leave out: then nothing limits it; write a limit without match.header',
    )
  }
  for (const [index, limit] of (draft.limits ?? []).entries()) {
    const burst = limit && burstOf(limit)
    if (limit === undefined || burst === undefined || limit.rate === undefined) continue
    if (burst * limit.rate.seconds < limit.rate.tokens) {
      const second = Math.ceil(limit.rate.tokens / limit.rate.seconds)
      warn(
        ['limits', index, 'burst'],
        `${burst} is less than one second of ${rateText(limit.rate)}, so the rate is hardly reached; write at least ${second}`,
      )
    }
    const shared = limit.newcomers && newcomersOf(limit)?.burst
    if (typeof shared === 'number' && shared < burst) {
      warn(
        ['limits', index, 'newcomers', 'burst'],
        `${shared} is less than the burst ${burst} of one device, which is then never reached; write at least ${burst}`,
      )
    }
  }
}

/** Names that metrics and logs give to what no entry names. */
const RESERVED: Readonly<Record<string, string>> = {
  default: 'the route label of requests that no named entry matches',
  other: 'the route label of entries beyond the first hundred',
}
const RESERVED_IN: Readonly<Record<'limits' | 'exempt' | 'deny', typeof RESERVED>> = {
  limits: { ...RESERVED, preflight: 'the limit that counts CORS preflights' },
  exempt: RESERVED,
  deny: { ...RESERVED, ban: "what logs call an operator's ban" },
}

/** Names must differ within their list: they name buckets and series. */
export function checkNames(draft: Draft, list: 'limits' | 'exempt' | 'deny', report: Report): void {
  const first = new Map<string, number>()
  const reserved = RESERVED_IN[list]
  for (const [index, entry] of (draft[list] ?? []).entries()) {
    if (entry?.name === undefined) continue
    if (Object.hasOwn(reserved, entry.name)) {
      report([list, index, 'name'], `${show(entry.name)} is ${reserved[entry.name]}; write another name`)
    }
    const earlier = first.get(entry.name)
    if (earlier === undefined) first.set(entry.name, index)
    else report([list, index, 'name'], `${show(entry.name)} is the name of ${list}[${earlier}] too; write another one`)
  }
}

function checkBurst(limit: LimitDraft, report: Report): void {
  const burst = burstOf(limit)
  if (burst === undefined) return
  if (burst > MAX_BURST) {
    report(['burst'], `the rate's count ${burst} is more than the largest burst, ${grouped(MAX_BURST)}; write a burst`)
  }
  if (limit.cost !== undefined && limit.cost > burst) {
    report(
      ['cost'],
      `${limit.cost} is more than the burst ${burst}, so no request would ever pass; write a cost of at most ${burst}, or a larger burst`,
    )
  }
}

function checkNewcomers(limit: LimitDraft, report: Report): void {
  if (!isPerDevice(limit.per)) {
    if (limit.newcomers && limit.per !== undefined) report(['newcomers'], 'is for per: device only; leave it out')
    if (limit.members && limit.per !== undefined) report(['members'], 'is for per: device only; leave it out')
    return
  }
  const { burst } = newcomersOf(limit) ?? {}
  const own = burstOf(limit)
  const isOwnEnough = own === undefined || limit.cost === undefined || limit.cost <= own
  if (burst !== undefined && limit.cost !== undefined && limit.cost > burst && isOwnEnough) {
    report(
      ['cost'],
      `${limit.cost} is more than the newcomers' burst ${burst}, so no new device would ever pass; write a cost of at most ${burst}, or a larger newcomers.burst`,
    )
  }
}

/** Whether something can prove who a client is; also where that is wrong, which is a problem of its own. */
function hasPrincipals({ identity }: Draft): boolean {
  return identity?.api_keys !== null || identity.client_certificate !== null || identity.jwt?.length !== 0
}

function checkPer(limit: LimitDraft, draft: Draft, report: Report): void {
  if (limit.per === undefined) return
  if (Array.isArray(limit.per)) return checkSources(limit, draft, report)
  if (limit.per !== 'principal') {
    if (limit.on_missing) report(['on_missing'], 'is for per: principal and lists of sources only; leave it out')
    return
  }
  if (limit.on_missing === null) {
    report(['on_missing'], 'is missing, and per: principal needs it; write skip, share or deny')
  }
  if (!hasPrincipals(draft)) {
    report(
      ['per'],
      'principal needs principals, and identity names none; write identity.jwt, api_keys or client_certificate, or another per',
    )
  }
}
