import type { Facts } from '../http/facts.ts'
import type { Identity } from '../identity/identity.ts'
import type { Decision } from '../limiter/decision.ts'
import type { Logger } from '../log.ts'
import { codeLabel, type Metrics, type RequestOutcome } from '../metrics/metrics.ts'
import type { LogPolicy, Policy } from '../policy/types.ts'
import { addEvidence, type Judged, type Line } from './evidence-fields.ts'

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
  const { decision, outcome, facts, judged } = finished
  const { clientAddress, path } = policy.log
  const isTold = isAccessTold(policy.log, outcome, random)
  const limits = decision === null ? [] : decision.outcomes.filter((said) => said.outcome !== 'allowed')
  const isRecorded = decision !== null && (limits.length > 0 || decision.verdict !== 'allowed')
  if (!isTold && !isRecorded) return
  if (isRecorded) {
    const record: Record<string, unknown> = {}
    addContext(record, finished, clientAddress)
    record.verdict = decision.verdict
    record.limits = decision.outcomes.map(({ plan, outcome: said }) => ({ limit: plan.limit.name, outcome: said }))
    record.binding = decision.binding?.plan.limit.name ?? null
    record.wait_ms = Math.ceil(Math.max(0, ...limits.map(({ waitUs }) => waitUs)) / 1000)
    record.path = decision.path
    record.policy = policy.hash
    log.info(record, decision.verdict === 'allowed' ? 'would limit' : 'refused')
  }
  if (!isTold) return
  const line: Line = {}
  addContext(line, finished, clientAddress)
  line.method = finished.method
  if (path && facts !== null) {
    line.host = facts.host
    line.path = facts.target.path
  }
  line.outcome = outcome
  if (finished.denied !== null) line.denied_by = finished.denied
  line.status = finished.status
  line.duration_ms = Math.round(finished.totalUs / 10) / 100
  if (finished.upstreamUs !== null) line.upstream_ms = Math.round(finished.upstreamUs / 10) / 100
  if (judged !== null) {
    addEvidence(line, judged, decision, policy.identity)
    line.policy = policy.hash
  }
  log.info(line, 'request')
}

/**
 * Adds what every line begins with. Lines are written field by field: a spread for each that may be missing costs more than
 * all the rest of a line.
 */
function addContext(
  line: Record<string, unknown>,
  { requestId, traceId, route, identity }: Finished,
  clientAddress: boolean,
): void {
  line.request_id = requestId
  if (traceId !== null) line.trace_id = traceId
  line.route = route
  if (identity === null) return
  line.key = identity.id
  line.tier = identity.tier
  if (clientAddress) line.client_address = identity.network.address
}

function isAccessTold({ access, sample }: LogPolicy, outcome: RequestOutcome, random: () => number): boolean {
  if (access === 'off') return false
  if (outcome !== 'forwarded' && outcome !== 'exempt') return true
  return access !== 'refused' && (sample >= 1 || random() < sample)
}
