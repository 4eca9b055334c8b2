import type { Fields } from '../http/fields.ts'
import { limitMember, policyMember, seconds, upstreamMembers } from '../http/rate-fields.ts'
import type { Decision, LimitOutcome } from '../limiter/decision.ts'
import { bindingOf } from '../limiter/limiter.ts'
import type { RefusePolicy } from '../policy/types.ts'

/** The rate fields that a decision gives an answer, and the limits they name. */
export type RateFields = {
  readonly names: readonly string[]
  readonly policy: string
  readonly limit: string
  /** Legacy fields, names and values in turn. */
  readonly legacy: readonly string[]
}

/**
 * The fields to show for a decision: RateLimit-Policy names each limit that applied and shows, RateLimit the binding one
 * of them; null where none shows. `retryAfter` (seconds) caps the time to the next token.
 */
export function rateFields(
  decision: Decision,
  style: RefusePolicy['legacyHeaders'],
  epochMs: number,
  retryAfter: number | null,
): RateFields | null {
  // Nothing binds in shadow, where whoever reads our fields would slow down for limits that do not hold.
  if (decision.binding === null) return null
  const shown = decision.outcomes.every(isShown) ? decision.outcomes : decision.outcomes.filter(isShown)
  const binding = isShown(decision.binding) ? decision.binding : bindingOf(shown)
  if (binding === null) return null
  const { limit } = binding.plan
  const names: string[] = []
  let policy = ''
  for (const { plan } of shown) {
    names.push(plan.limit.name)
    policy = join(policy, policyMember(plan.limit.name, plan.limit.burst, plan.windowSeconds))
  }
  const resetSeconds = Math.min(seconds(binding.nextUs), retryAfter ?? Number.POSITIVE_INFINITY)
  return {
    names,
    policy,
    limit: limitMember(limit.name, binding.remaining, resetSeconds),
    legacy: style === 'off' ? [] : legacyFields(binding, style, epochMs),
  }
}

/** Adds the rate fields to an upstream's answer, after its own members; gives names and values in turn. */
export function addRateFields({ fields, names }: Fields, rate: RateFields): string[] {
  const kept: string[] = []
  const upstream = { policy: '', limit: '' }
  const hasLegacy = rate.legacy.length > 0
  for (let i = 0; i < fields.length; i += 2) {
    const name = names[i / 2]!
    const value = fields[i + 1]!
    if (name === 'ratelimit') upstream.limit = join(upstream.limit, value)
    else if (name === 'ratelimit-policy') upstream.policy = join(upstream.policy, value)
    else if (!hasLegacy || !name.startsWith('x-ratelimit-')) kept.push(fields[i]!, value)
  }
  kept.push('RateLimit-Policy', join(upstreamMembers(upstream.policy, rate.names), rate.policy))
  kept.push('RateLimit', join(upstreamMembers(upstream.limit, rate.names), rate.limit), ...rate.legacy)
  return kept
}

function legacyFields(binding: LimitOutcome, style: 'epoch' | 'delta', epochMs: number): string[] {
  const delta = seconds(Math.max(binding.waitUs, binding.nextUs))
  const reset = style === 'epoch' ? Math.ceil(epochMs / 1000) + delta : delta
  return [
    'X-RateLimit-Limit',
    String(binding.plan.limit.burst),
    'X-RateLimit-Remaining',
    String(binding.remaining),
    'X-RateLimit-Reset',
    String(reset),
  ]
}

function isShown({ plan, outcome }: LimitOutcome): boolean {
  return plan.limit.headers && plan.limit.mode === 'enforce' && outcome !== 'would_limit'
}

function join(first: string, second: string): string {
  return first === '' ? second : `${first}, ${second}`
}
