import {
  type Aggregator,
  AggregatorRegistry,
  type MetricObjectWithValues,
  type MetricValue,
  type Registry,
} from 'prom-client'

/** What the metrics of one process say, as it survives JSON. */
export type MetricsSnapshot = readonly MetricObjectWithValues<MetricValue<string>>[]

/** What the primary alone can say, or says for all. */
const OF_PRIMARY = new Set([
  'sluice_limit_burst',
  'sluice_limit_rate_per_second',
  'sluice_config_last_reload_successful',
  'sluice_config_last_reload_success_timestamp_seconds',
  'sluice_config_reloads_total',
  'sluice_workers',
  'sluice_worker_deaths_total',
  'sluice_build_info',
  'process_start_time_seconds',
  'process_max_fds',
  'nodejs_version_info',
])

/** Of one process it is the worst that matters. Everything else adds up. */
const WORST: Readonly<Record<string, Aggregator>> = {
  sluice_store_up: 'min',
  sluice_store_breaker_state: 'max',
  process_open_fds: 'max',
  nodejs_eventloop_lag_min_seconds: 'min',
}

/**
 * The metrics of all processes together. `ended` is what `addEnded` has kept of workers that are gone, so that no counter
 * falls with them. The primary's order holds.
 */
export function aggregateMetrics(
  primary: MetricsSnapshot,
  workers: readonly MetricsSnapshot[],
  ended: MetricsSnapshot,
): Registry {
  const ofWorkers = [...workers, ended].map((snapshot) => snapshot.filter(({ name }) => !OF_PRIMARY.has(name)))
  return add([primary, ...ofWorkers])
}

/** Adds what a worker that is gone has counted, as it was last heard of, to what others had. */
export function addEnded(ended: MetricsSnapshot, last: MetricsSnapshot): MetricsSnapshot {
  // By its declaration the type is a number, and an aggregate's metrics have no values.
  const counted = last.filter(({ type }) => String(type) !== 'gauge')
  return add([ended, counted]).getMetricsAsArray() as unknown as MetricsSnapshot
}

function add(snapshots: readonly MetricsSnapshot[]): Registry {
  return AggregatorRegistry.aggregate(
    snapshots.map((snapshot) => snapshot.map((metric) => ({ ...metric, aggregator: ruleOf(metric.name) }))),
  )
}

function ruleOf(name: string): Aggregator {
  return WORST[name] ?? (name.startsWith('nodejs_eventloop_lag') ? 'max' : 'sum')
}
