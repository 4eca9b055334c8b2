import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { MARK_PROBLEMS } from '../identity/device-mark.ts'
import { TOKEN_PROBLEMS } from '../identity/jwt.ts'
import { LIMIT_OUTCOMES } from '../limiter/decision.ts'
import { createDurations, createTally } from './tally.ts'

const REQUEST_OUTCOMES = ['forwarded', 'limited', 'denied', 'exempt', 'error', 'aborted'] as const

/** What became of a request. */
export type RequestOutcome = (typeof REQUEST_OUTCOMES)[number]

export type Metrics = ReturnType<typeof createMetrics>

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const DECISION_SECONDS = [
  0.000005, 0.00001, 0.000025, 0.0001, 0.00025, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1,
]

/**
 * Every metric, declared once. Labels take values from the configuration and from closed lists only, never from a
 * client: the number of series is the same after any traffic.
 */
export function createMetrics(build: { readonly version: string; readonly node: string }) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  // Gauges that are named like counters, which `promtool check metrics` refuses; each has a sibling without the suffix.
  for (const kind of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${kind}_total`)

  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers })
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers })
  // What each request counts.
  const tally = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    createTally<L>({ name, help, labelNames, registers })
  const durations = (name: string, help: string, bounds: readonly number[], label: string | null = null) =>
    createDurations(registry, { name, help, bounds, label })

  const metrics = {
    registry,
    requests: tally('sluice_requests_total', 'Requests by what became of them.', ['route', 'outcome']),
    responses: tally('sluice_responses_total', 'Answers sent, by status code.', ['route', 'code']),
    limitDecisions: tally('sluice_limit_decisions_total', 'What each limit said of the requests it applied to.', [
      'limit',
      'outcome',
    ]),
    requestSeconds: durations(
      'sluice_request_duration_seconds',
      'Time from the header of a request to the end of its answer.',
      REQUEST_SECONDS,
      'outcome',
    ),
    upstreamSeconds: durations(
      'sluice_upstream_duration_seconds',
      "Time from the sending of a request upstream to the header of the upstream's answer.",
      REQUEST_SECONDS,
    ),
    upstreamRetries: counter(
      'sluice_upstream_retries_total',
      'GET and HEAD requests sent a second time because a pooled connection was closed before a response.',
    ),
    decisionSeconds: durations('sluice_decision_duration_seconds', 'Time a decision took.', DECISION_SECONDS, 'path'),
    untrustedForwarding: counter(
      'sluice_untrusted_forwarding_total',
      'Requests whose forwarding fields were ignored because their peer is not trusted.',
    ),
    lookAlikes: counter(
      'sluice_look_alike_headers_total',
      'Headers and trailers dropped because their name reads like one that the policy reads or trusts.',
    ),
    methodOverrides: counter(
      'sluice_method_override_headers_total',
      'Headers dropped because they name another method or target (server.method_override).',
    ),
    storeUp: gauge('sluice_store_up', 'Whether the shared store answers; 1 where there is none to be away.'),
    storeCalls: tally('sluice_store_calls_total', 'Calls to the shared store.', ['result']),
    storeSeconds: durations('sluice_store_duration_seconds', 'Time a call to the shared store took.', DECISION_SECONDS),
    storeFallbacks: counter('sluice_store_fallbacks_total', 'Requests decided without the shared store.', ['action']),
    storeBreaker: gauge('sluice_store_breaker_state', 'Breaker over the shared store: 0 closed, 1 open.'),
    leasedTokens: tally('sluice_leased_tokens_total', 'Tokens taken from the shared store in advance.', ['result']),
    identities: tally('sluice_identities_total', 'Limited requests by how their client was told.', ['tier']),
    badTokens: counter(
      'sluice_bad_tokens_total',
      'Requests with a JWT that is only a claim, by what is wrong with it.',
      ['reason'],
    ),
    badMarks: counter('sluice_bad_device_marks_total', 'Device cookies and tokens not believed, by why.', ['reason']),
    admissions: counter(
      'sluice_admissions_total',
      'Devices that might have become members of their network, by what became of that.',
      ['result'],
    ),
    buckets: gauge('sluice_buckets', 'Buckets held in process.'),
    bucketFolds: counter(
      'sluice_bucket_folds_total',
      'Charges to a bucket that a network shares because max_buckets were in debt.',
    ),
    limitBurst: gauge('sluice_limit_burst', 'Tokens a full bucket of the limit holds.', ['limit']),
    limitRate: gauge('sluice_limit_rate_per_second', 'Tokens a bucket of the limit gains a second.', ['limit']),
    inflight: gauge('sluice_inflight_requests', 'Requests under way.'),
    upgrades: gauge('sluice_upgrades_active', 'Upgraded connections (WebSocket) open.'),
    reloadSuccessful: gauge('sluice_config_last_reload_successful', 'Whether the last reload of the policy succeeded.'),
    reloadTime: gauge(
      'sluice_config_last_reload_success_timestamp_seconds',
      'When the policy in force was loaded, seconds since the epoch.',
    ),
    reloads: counter('sluice_config_reloads_total', 'Loads of the policy.', ['result']),
    droppedLines: counter('sluice_log_lines_dropped_total', 'Log lines that standard output did not take.'),
    uncaught: counter('sluice_uncaught_errors_total', 'Errors that nobody caught; the process goes on.'),
    authFailures: counter('sluice_admin_auth_failures_total', 'Requests to the admin port with a wrong token.'),
    workers: gauge('sluice_workers', 'Processes that take requests.'),
    workerDeaths: counter('sluice_worker_deaths_total', 'Workers that ended unasked and were replaced.'),
    buildInfo: gauge('sluice_build_info', 'Version of Sluice and of Node, as labels; always 1.', ['version', 'node']),
  }
  metrics.buildInfo.set({ version: build.version, node: build.node }, 1)
  return metrics
}

/**
 * Sets every series that the policy makes possible to where it stands, zero at first: a rate needs a zero to start from,
 * and what traffic adds later is status codes alone.
 */
export function announceSeries(metrics: Metrics, routes: readonly string[], limits: readonly string[]): void {
  const { requests, limitDecisions, requestSeconds, decisionSeconds, identities, storeCalls, storeFallbacks } = metrics
  for (const outcome of REQUEST_OUTCOMES) {
    requestSeconds.announce(outcome)
    for (const route of routes) requests.inc({ route, outcome }, 0)
  }
  for (const limit of limits) {
    for (const outcome of LIMIT_OUTCOMES) limitDecisions.inc({ limit, outcome }, 0)
  }
  for (const path of ['local', 'leased', 'store', 'fallback']) decisionSeconds.announce(path)
  for (const result of ['admitted', 'full', 'limited']) metrics.admissions.inc({ result }, 0)
  for (const tier of ['principal', 'member', 'token', 'class', 'overflow']) identities.inc({ tier }, 0)
  for (const reason of TOKEN_PROBLEMS) metrics.badTokens.inc({ reason }, 0)
  for (const reason of MARK_PROBLEMS) metrics.badMarks.inc({ reason }, 0)
  for (const result of ['ok', 'error', 'timeout']) storeCalls.inc({ result }, 0)
  for (const result of ['leased', 'spent', 'returned', 'expired']) metrics.leasedTokens.inc({ result }, 0)
  for (const action of ['local', 'allow', 'deny']) storeFallbacks.inc({ action }, 0)
  for (const result of ['success', 'failure']) metrics.reloads.inc({ result }, 0)
}

/** A status code as a label: itself when registered, else its class, so that an upstream cannot make series either. */
export function codeLabel(status: number): string {
  return REGISTERED.has(status) ? String(status) : `${Math.floor(status / 100)}xx`
}

/** The HTTP status codes registered with IANA that can end an exchange. */
const REGISTERED = new Set([
  101, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403,
  404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 428, 429, 431,
  451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
])
