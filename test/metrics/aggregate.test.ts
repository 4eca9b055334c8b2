import t from 'tap'
import { addEnded, aggregateMetrics, type MetricsSnapshot } from '../../src/metrics/aggregate.ts'
import { announceSeries, createMetrics } from '../../src/metrics/metrics.ts'

function start() {
  const metrics = createMetrics({ version: '1', node: 'v0' })
  announceSeries(metrics, ['default'], ['device'])
  metrics.limitBurst.set({ limit: 'device' }, 30)
  metrics.storeUp.set(1)
  // As it comes from another process.
  const snapshot = async () => JSON.parse(JSON.stringify(await metrics.registry.getMetricsAsJSON())) as MetricsSnapshot
  return { metrics, snapshot }
}

/** The series and their values. */
async function read(primary: MetricsSnapshot, workers: MetricsSnapshot[], ended: MetricsSnapshot = []) {
  const text = await aggregateMetrics(primary, workers, ended).metrics()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

const FORWARDED = 'sluice_requests_total{route="default",outcome="forwarded"}'

t.test('counters, histograms and what is under way add up; the policy and the build are said once', async (t) => {
  const [primary, one, two] = [start(), start(), start()]
  for (const { metrics } of [one, two]) {
    metrics.requests.inc({ route: 'default', outcome: 'forwarded' }, 5)
    metrics.requestSeconds.observe('forwarded', 0.002)
    metrics.inflight.inc()
    metrics.reloads.inc({ result: 'success' })
  }
  primary.metrics.reloads.inc({ result: 'success' })
  two.metrics.storeUp.set(0)
  two.metrics.storeBreaker.set(1)
  const values = await read(await primary.snapshot(), [await one.snapshot(), await two.snapshot()])
  t.equal(values.get(FORWARDED), 10)
  t.equal(values.get('sluice_request_duration_seconds_count{outcome="forwarded"}'), 2)
  t.equal(values.get('sluice_request_duration_seconds_bucket{le="0.001",outcome="forwarded"}'), 0)
  t.equal(values.get('sluice_request_duration_seconds_bucket{le="0.0025",outcome="forwarded"}'), 2)
  t.equal(values.get('sluice_inflight_requests'), 2)
  t.equal(values.get('sluice_limit_burst{limit="device"}'), 30)
  t.equal(values.get('sluice_build_info{version="1",node="v0"}'), 1)
  t.equal(values.get('sluice_config_reloads_total{result="success"}'), 1)
  t.equal(values.get('sluice_store_up'), 0, 'one that cannot reach the store is worth knowing')
  t.equal(values.get('sluice_store_breaker_state'), 1)
  t.ok(values.get('process_start_time_seconds')! > 1e9 && values.get('process_start_time_seconds')! < 1e10)
})

t.test('the series are those of one process, also while there is no worker', async (t) => {
  const [primary, one] = [start(), start()]
  const names = (values: Map<string, number>) => [...values.keys()].filter((name) => !name.startsWith('nodejs_')).sort()
  const alone = names(await read(await one.snapshot(), []))
  t.ok(alone.length > 80)
  t.same(names(await read(await primary.snapshot(), [])), alone)
  t.same(names(await read(await primary.snapshot(), [await one.snapshot(), await one.snapshot()])), alone)
})

t.test('no counter falls when a worker ends, and what was under way in it is gone', async (t) => {
  const [primary, one] = [start(), start()]
  one.metrics.requests.inc({ route: 'default', outcome: 'forwarded' }, 7)
  one.metrics.requestSeconds.observe('forwarded', 0.002)
  one.metrics.inflight.inc()
  let ended: MetricsSnapshot = []
  for (let i = 0; i < 3; i++) ended = addEnded(ended, await one.snapshot())
  ended = addEnded(ended, [])
  const values = await read(await primary.snapshot(), [await one.snapshot()], ended)
  t.equal(values.get(FORWARDED), 28)
  t.equal(values.get('sluice_request_duration_seconds_count{outcome="forwarded"}'), 4)
  t.equal(values.get('sluice_inflight_requests'), 1)
  t.equal(ended.filter(({ name }) => name === 'sluice_requests_total').length, 1, 'it does not grow with every end')
})
