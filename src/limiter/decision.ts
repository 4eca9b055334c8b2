import type { LimitPlan } from './plan.ts'

/**
 * `allowed`: the limit was charged. `limited`: it rejects the request. `would_limit`: it would, but it or the whole policy is in
 * shadow. `uncharged`: it has the tokens, but another limit rejects the request, or would in shadow, so that none is charged.
 */
export const LIMIT_OUTCOMES = ['allowed', 'limited', 'would_limit', 'uncharged'] as const

/** What one limit said about a request. */
export type LimitOutcome = {
  readonly plan: LimitPlan
  readonly outcome: (typeof LIMIT_OUTCOMES)[number]
  /** Whole tokens left after this request in the emptiest of the buckets behind the limit. */
  readonly remaining: number
  /** Microseconds until the limit would admit the request; 0 when it did. */
  readonly waitUs: number
  /** Microseconds until `remaining` grows. */
  readonly nextUs: number
}

/** Where the decision was taken: in process, by what is leased or known of the shared store, in that, or without it. */
export type DecisionPath = 'local' | 'leased' | 'store' | 'fallback'

type Decided = {
  readonly path: DecisionPath
  readonly outcomes: readonly LimitOutcome[]
  /** The limit to tell the client about: when refused the longest wait, else the smallest share left; shadows never. */
  readonly binding: LimitOutcome | null
}

export type Decision =
  | (Decided & { readonly verdict: 'allowed' })
  /** A bucket is empty: 429. */
  | (Decided & { readonly verdict: 'limited'; readonly binding: LimitOutcome })
  /** The client left out what a limit with `on_missing: deny` is keyed by: 403. */
  | (Decided & { readonly verdict: 'missing'; readonly limit: LimitPlan })
  /** The store is away and a limit says `on_error: deny`: 503. */
  | (Decided & { readonly verdict: 'unavailable'; readonly limit: LimitPlan })
