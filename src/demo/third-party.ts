import type { Integration, IntegrationResult } from './job.ts'
import { pause, type Timers } from './timers.ts'

/** What came of a call. 'aborted': we hung up, and do not know whether it acted. */
export type CallOutcome =
  | { readonly kind: 'succeeded'; readonly result: IntegrationResult }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'aborted' }

/** A service of somebody else, as slow and as unsure as those are. */
export type ThirdParty = {
  /**
   * Asks for `integration` under an idempotency key: however often, and however many at once, are asked with one key,
   * it acts once and answers each with the same result. Stops waiting as soon as `signal` aborts. Never rejects.
   */
  call(key: string, integration: Integration, signal: AbortSignal): Promise<CallOutcome>
}

/** A third party in process. */
export type SimulatedThirdParty = ThirdParty & {
  /** How often it has acted. */
  actions(): number
}

/** How slow and how unsure it is. */
export type ThirdPartyOptions = {
  readonly delayMs: number
  /** The share of calls that fail, 0 to 1. */
  readonly failureRate: number
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly timers: Timers
  /** How many keys it remembers; the oldest are forgotten first. */
  readonly maxKeys: number
}

/**
 * A third party in process. Of the calls that fail, half fail before it acted and half after: the answer is lost on
 * the way. Without the key, trying those again would act twice.
 */
export function createThirdParty(options: ThirdPartyOptions): SimulatedThirdParty {
  const { delayMs, failureRate, random, timers, maxKeys } = options
  const results = new Map<string, IntegrationResult>()
  let actions = 0

  function act(key: string, { partner }: Integration): IntegrationResult {
    const known = results.get(key)
    if (known !== undefined) return known
    actions++
    const result = { reference: `${partner}-${actions}`, acted_at: new Date(timers.now()).toISOString() }
    results.set(key, result)
    const [oldest] = results.keys()
    if (results.size > maxKeys && oldest !== undefined) results.delete(oldest)
    return result
  }

  return {
    async call(key, integration, signal) {
      if (!(await pause(timers, delayMs, signal))) return { kind: 'aborted' }
      const chance = random()
      if (chance < failureRate / 2) return { kind: 'failed', error: 'the third party answered 503' }
      const result = act(key, integration)
      if (chance < failureRate)
        return { kind: 'failed', error: 'the third party closed the connection without an answer' }
      return { kind: 'succeeded', result }
    },
    actions: () => actions,
  }
}
