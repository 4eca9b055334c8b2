import type { LimitOutcome } from '../limiter/decision.ts'
import type { Refusal } from '../proxy/recent-refusals.ts'
import type { ExplainedBucket, ExplainedLimit, Explanation } from './explain.ts'

const ENDS: Readonly<Record<NonNullable<Explanation['address']>['end'], string>> = {
  untrusted: 'nobody trusts this one, so it is the client',
  unreadable: 'that is no address, so the last good hop is the client',
  peer: 'the policy takes the peer',
  no_field: 'the field is not there, so the peer is the client',
  exhausted: 'all hops are trusted, so the farthest is the client',
  cut: 'no more hops are read, so the farthest is the client',
}

/** An explanation as text for a person. */
export function describe(explanation: Explanation): string {
  const { request, address, identity, limits, fields } = explanation
  const lines = [`${request.method} ${request.path} on ${request.host || '(no host)'}`, '']
  if (address !== null) {
    lines.push('address')
    for (const { written, address: read, is_trusted: isTrusted } of address.hops) {
      const said = read === null ? 'no address' : `${isTrusted ? '' : 'not '}trusted`
      lines.push(`  ${written}${read === null || read === written ? '' : ` = ${read}`}: ${said}`)
    }
    lines.push(`  ${ENDS[address.end]}: ${address.client}`, '')
  }
  lines.push(...rulingLines(explanation))
  if (identity !== null) {
    lines.push(
      'identity',
      `  tier ${identity.tier}, key ${identity.key}`,
      ...identity.evidence.map((sentence) => `  ${sentence}`),
      `  network ${identity.network}, ${count(identity.members, 'live member')}; spends with ${SPENDS[identity.pool]}`,
      '',
    )
  }
  if (limits.length > 0) lines.push('limits', ...limits.flatMap(limitLines), '')
  lines.push(...verdictLines(explanation))
  for (const [name, value] of Object.entries(fields)) lines.push(`  ${name}: ${value}`)
  return `${lines.join('\n').trimEnd()}\n`
}

const SPENDS = { none: 'nobody', members: "its network's members", newcomers: "its network's newcomers" }

function rulingLines({ ruling, entry, reason }: Explanation): string[] {
  const because = reason === null ? '' : `: ${reason}`
  if (ruling === 'denied') return [`deny entry ${entry}${because}`, '']
  if (ruling === 'banned') return [`banned, key ${entry}${because}`, '']
  if (ruling === 'granted') return [`not limited, by a grant on key ${entry}${because}`, '']
  if (ruling === 'exempt') return [`exempt${entry === null ? '' : ` (${entry})`}${because}`, '']
  if (ruling === 'malformed' || ruling === 'looped') return [`not served${because}`, '']
  return []
}

const OUTCOMES: Readonly<Record<LimitOutcome['outcome'], string>> = {
  allowed: 'allowed',
  limited: 'limited',
  would_limit: 'would limit',
  uncharged: 'uncharged, for another limit rejects',
}

function limitLines({
  limit,
  mode,
  mismatches,
  outcome,
  remaining,
  wait_ms: waitMs,
  buckets,
}: ExplainedLimit): string[] {
  const name = mode === 'shadow' ? `${limit} (shadow)` : limit
  if (mismatches.length > 0) return [`  ${name}: does not apply, ${mismatches.join(', ')}`]
  if (outcome === null) return [`  ${name}: was not asked`]
  const left = remaining === null ? '' : `, ${remaining} left`
  const wait = waitMs ? `, ${seconds(waitMs)} to wait` : ''
  return [`  ${name}: ${OUTCOMES[outcome]}${left}${wait}`, ...buckets.map(bucketLine)]
}

function bucketLine({ pool, key, burst, rate_per_second: rate, reserve, before, after }: ExplainedBucket): string {
  const kept = reserve > 0 ? `, ${number(reserve)} of them kept for others` : ''
  return `    ${pool} bucket ${key}: ${before} of ${number(burst)} before, ${after} after, ${number(rate)}/s${kept}`
}

function verdictLines({ verdict, status, binding, wait_ms: waitMs }: Explanation): string[] {
  if (verdict === 'forwarded') return [`forwarded${binding === null ? '' : `; ${binding} binds`}`]
  const told = binding === null ? '' : `, by ${binding}`
  return [`${status} ${verdict}${told}${waitMs ? `, ${seconds(waitMs)} to wait` : ''}`]
}

/** A refusal as it was decided, as text for a person. */
export function describeRefusal(refusal: Refusal): string {
  const { request_id: id, at_ms: atMs, route, verdict, status, tier, key, network, members, binding, limits } = refusal
  const { wait_ms: waitMs } = refusal
  const lines = [
    `request ${id}, ${new Date(atMs).toISOString()}, route ${route}`,
    `  ${status} ${verdict}${binding === null ? '' : `, by ${binding}`}${waitMs ? `, ${seconds(waitMs)} to wait` : ''}`,
    `  tier ${tier}, key ${key}`,
    `  network ${network}, ${count(members, 'live member')}`,
    ...limits.map(({ limit, outcome, wait_ms: wait }) => {
      return `  ${limit}: ${OUTCOMES[outcome]}${wait > 0 ? `, ${seconds(wait)} to wait` : ''}`
    }),
    `  decided ${refusal.path}, policy ${refusal.policy}`,
  ]
  return `${lines.join('\n')}\n`
}

function seconds(ms: number): string {
  return `${number(ms / 1000)} s`
}

function number(value: number): string {
  return String(Math.round(value * 1000) / 1000)
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
