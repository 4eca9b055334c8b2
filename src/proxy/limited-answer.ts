import { QUOTA_EXCEEDED } from '../http/problem.ts'
import { seconds } from '../http/rate-fields.ts'
import { sourceText } from '../identity/limit-keys.ts'
import type { Decision } from '../limiter/decision.ts'
import type { Limit, RefusePolicy } from '../policy/types.ts'
import { rateFields } from './answer-fields.ts'
import type { OwnAnswer } from './own-answer.ts'

type Refusal = Exclude<Decision, { verdict: 'allowed' }>

/** Seconds after which to come back while the store is away: probes close the breaker within about that. */
const STORE_RETRY_SECONDS = 1

/** What a client is answered that the limits refuse: 429 (RFC 6585), 403 without a key it must give, 503 without a store. */
export function refusalAnswer(
  decision: Refusal,
  refuse: RefusePolicy,
  random: () => number,
  epochMs: number,
): OwnAnswer {
  switch (decision.verdict) {
    case 'limited':
      return limitedAnswer(decision, refuse, random, epochMs)
    case 'missing':
      return {
        problem: {
          status: 403,
          detail: missingDetail(decision.limit.limit),
          'violated-policies': [decision.limit.limit.name],
        },
      }
    case 'unavailable':
      return {
        problem: { status: 503, detail: 'The limits cannot be checked at the moment.' },
        fields: ['Retry-After', String(STORE_RETRY_SECONDS)],
      }
  }
}

function missingDetail({ name, per }: Limit): string {
  if (typeof per === 'string') return `Limit "${name}" wants to know who asks: send the credential it is keyed by.`
  return `Limit "${name}" is keyed by ${per.map(sourceText).join(', ')}: send what is missing.`
}

function limitedAnswer(
  decision: Extract<Decision, { verdict: 'limited' }>,
  refuse: RefusePolicy,
  random: () => number,
  epochMs: number,
): OwnAnswer {
  const { binding, outcomes } = decision
  // Jitter goes upwards only: coming back after Retry-After must succeed.
  const waitUs = binding.waitUs * (1 + refuse.retryJitter * random())
  const retryAfter = Math.max(1, seconds(waitUs))
  const rate = rateFields(decision, refuse.legacyHeaders, epochMs, retryAfter)
  const violated = outcomes.filter(({ outcome }) => outcome === 'limited').map(({ plan }) => plan.limit.name)
  const fields = ['Retry-After', String(retryAfter)]
  if (rate !== null) fields.push('RateLimit-Policy', rate.policy, 'RateLimit', rate.limit, ...rate.legacy)
  return {
    problem: {
      type: QUOTA_EXCEEDED,
      title: 'Too Many Requests',
      status: 429,
      detail: `The limit "${binding.plan.limit.name}" has no tokens left for this client; try again in ${retryAfter} s.`,
      'violated-policies': violated,
    },
    fields,
    body: refuse.body && {
      type: refuse.body.type,
      text: refuse.body.text
        .replaceAll('{{retry_after}}', String(retryAfter))
        .replaceAll('{{limit}}', binding.plan.limit.name),
    },
  }
}
