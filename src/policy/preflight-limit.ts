import { isEmptyMatch } from './match.ts'
import type { Limit, Policy } from './types.ts'

/** What the limit of preflights is called in metrics, logs and buckets. */
export const PREFLIGHT = 'preflight'

/**
 * The limit that counts CORS preflights in place of all others where `exempt_preflight` holds: the first limit per device that holds
 * for all requests, else per network, once more. So a page that calls another origin spends nothing of its allowance on preflights,
 * and nobody sends more of them than requests. Null where no limit holds for all requests: then nothing bounds any of them.
 */
export function preflightLimit({ exemptPreflight, limits }: Policy): Limit | null {
  if (!exemptPreflight) return null
  const general = limits.filter(({ match, tiers }) => tiers === null && isEmptyMatch(match))
  const found = general.find(({ per }) => per === 'device') ?? general.find(({ per }) => per === 'network')
  return found === undefined ? null : { ...found, name: PREFLIGHT }
}

/** The limits that the policy writes, and the one that follows from them. */
export function limitsOf(policy: Policy): readonly Limit[] {
  const preflight = preflightLimit(policy)
  return preflight === null ? policy.limits : [...policy.limits, preflight]
}
