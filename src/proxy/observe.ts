import type { Facts } from '../http/facts.ts'
import type { Identity } from '../identity/identity.ts'
import type { Decision } from '../limiter/decision.ts'
import type { Logger } from '../log.ts'
import { codeLabel, type Metrics, type RequestOutcome } from '../metrics/metrics.ts'
import type { LogPolicy, Policy } from '../policy/types.ts'
import { evidenceFields, type Judged } from './evidence-fields.ts'

/** What is known of a request once it is over: the one source of its metrics and its log lines. */
export type Finished = {
  readonly requestId: string
  readonly traceId: string | null
  readonly route: string
  readonly method: string
  readonly outcome: RequestOutcome
  /** Null where no answer was begun. */
  readonly status: number | null
  readonly facts: Facts | null
  readonly judged: Judged | null
  readonly identity: Identity | null
  readonly decision: Decision | null
  readonly denied: string | null
  readonly totalUs: number
  readonly decisionUs: number
  readonly upstreamUs: number | null
}

/** Counts a finished request, once. */
export function countRequest(metrics: Metrics, finished: Finished): void {
  const { route, outcome, status, decision, identity } = finished
  metrics.requests.count(route, outcome)
  if (status !== null) metrics.responses.count(route, codeLabel(status))
  metrics.requestSeconds.observe(outcome, finished.totalUs / 1e6)
  if (finished.upstreamUs !== null) metrics.upstreamSeconds.observe('', finished.upstreamUs / 1e6)
  if (identity !== null) metrics.identities.count(identity.tier)
  if (decision === null) return
  metrics.decisionSeconds.observe(decision.path, finished.decisionUs / 1e6)
  for (const { plan, outcome: said } of decision.outcomes) {
    metrics.limitDecisions.count(plan.limit.name, said)
  }
}

/** Writes a finished request's access line, and a record of the decision where a limit refused or would have. */
export function logRequest(log: Logger, policy: Policy, finished: Finished, random: () => number): void {
  if (!log.isLevelEnabled('info')) return
  const { requestId, traceId, route, identity, decision, outcome, facts, judged } = finished
  const { clientAddress, path } = policy.log
  const isTold = isAccessTold(policy.log, outcome, random)
  const limits = decision === null ? [] : decision.outcomes.filter((said) => said.outcome !== 'allowed')
  const isRecorded = decision !== null && (limits.length > 0 || decision.verdict !== 'allowed')
  if (!isTold && !isRecorded) return
  const context = {
    request_id: requestId,
    ...(traceId === null ? {} : { trace_id: traceId }),
    route,
    ...(identity === null ? {} : { key: identity.id, tier: identity.tier }),
    ...(identity !== null && clientAddress ? { client_address: identity.network.address } : {}),
  }
  if (isRecorded) {
    log.info(
      {
        ...context,
        verdict: decision.verdict,
        limits: decision.outcomes.map(({ plan, outcome: said }) => ({ limit: plan.limit.name, outcome: said })),
        binding: decision.binding?.plan.limit.name ?? null,
        wait_ms: Math.ceil(Math.max(0, ...limits.map(({ waitUs }) => waitUs)) / 1000),
        path: decision.path,
        policy: policy.hash,
      },
      decision.verdict === 'allowed' ? 'would limit' : 'refused',
    )
  }
  if (!isTold) return
  log.info(
    {
      ...context,
      method: finished.method,
      ...(path && facts !== null ? { host: facts.host, path: facts.target.path } : {}),
      outcome,
      ...(finished.denied === null ? {} : { denied_by: finished.denied }),
      status: finished.status,
      duration_ms: Math.round(finished.totalUs / 10) / 100,
      ...(finished.upstreamUs === null ? {} : { upstream_ms: Math.round(finished.upstreamUs / 10) / 100 }),
      ...(judged === null ? {} : { ...evidenceFields(judged, decision, policy.identity), policy: policy.hash }),
    },
    'request',
  )
}

function isAccessTold({ access, sample }: LogPolicy, outcome: RequestOutcome, random: () => number): boolean {
  if (access === 'off') return false
  if (outcome !== 'forwarded' && outcome !== 'exempt') return true
  return access !== 'refused' && (sample >= 1 || random() < sample)
}
