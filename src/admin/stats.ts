import { sourceText } from '../identity/limit-keys.ts'
import type { MetricsSnapshot } from '../metrics/aggregate.ts'
import { limitsOf } from '../policy/preflight-limit.ts'
import type { Policy } from '../policy/types.ts'

/** What the page draws: the sums so far, of which two that are a while apart give what is now. */
export type Stats = ReturnType<typeof readStats>

/** Reads the numbers of the page from the metrics: nothing is counted twice. */
export function readStats(snapshot: MetricsSnapshot, policy: Policy, nowMs: number) {
  const byName = new Map(snapshot.map((metric) => [metric.name, metric.values]))

  function sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    let total = 0
    for (const sample of byName.get(name) ?? []) {
      if (Object.entries(labels).every(([key, value]) => sample.labels[key] === value)) total += sample.value
    }
    return total
  }

  const requests = (outcome: string) => sum('sluice_requests_total', { outcome })
  const said = (limit: string, outcome: string) => sum('sluice_limit_decisions_total', { limit, outcome })
  const { store, mode } = policy
  return {
    at_ms: nowMs,
    requests: {
      forwarded: requests('forwarded'),
      exempt: requests('exempt'),
      limited: requests('limited'),
      denied: requests('denied'),
      error: requests('error'),
      aborted: requests('aborted'),
    },
    limits: limitsOf(policy).map(({ name, per, rate, burst, mode: limitMode }) => ({
      name,
      per: typeof per === 'string' ? per : per.map(sourceText),
      rate: rate.tokens / rate.seconds,
      burst,
      mode: mode === 'shadow' ? mode : limitMode,
      allowed: said(name, 'allowed'),
      limited: said(name, 'limited'),
      would_limit: said(name, 'would_limit'),
      uncharged: said(name, 'uncharged'),
    })),
    inflight: sum('sluice_inflight_requests'),
    upgrades: sum('sluice_upgrades_active'),
    buckets: sum('sluice_buckets'),
    folds: sum('sluice_bucket_folds_total'),
    mode,
    policy: policy.hash,
    store: {
      kind: store.kind,
      up: sum('sluice_store_up') > 0,
      breaker: sum('sluice_store_breaker_state') > 0 ? 'open' : 'closed',
      calls: {
        ok: sum('sluice_store_calls_total', { result: 'ok' }),
        error: sum('sluice_store_calls_total', { result: 'error' }),
        timeout: sum('sluice_store_calls_total', { result: 'timeout' }),
      },
      fallbacks: sum('sluice_store_fallbacks_total'),
    },
  }
}
