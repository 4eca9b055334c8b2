import { Counter, type CounterConfiguration, type Metric, type Registry } from 'prom-client'

/** A counter that counts what happens on each request, once or `amount` times: by the values of its first and its second label. */
export type Tally<L extends string> = Counter<L> & { count(first: string, second?: string, amount?: number): void }

/** A histogram of what happens on each request. */
export type Durations = {
  /** Makes the series of a label value, if there is none yet. */
  announce(label: string): void
  observe(label: string, seconds: number): void
}

type Tallied = { readonly first: string; readonly second: string; count: number }

/**
 * prom-client hashes and checks the labels at each `inc`, which for the counters of one request costs as much as its decision. So
 * they are kept in Maps, and the counter is told when it is read.
 */
export function createTally<L extends string>(configuration: CounterConfiguration<L>): Tally<L> {
  const [firstName, secondName] = configuration.labelNames ?? []
  const tallies = new Map<string, Map<string, Tallied>>()

  const counter = new Counter<L>({
    ...configuration,
    collect() {
      for (const seconds of tallies.values()) for (const tallied of seconds.values()) tell(this, tallied)
    },
  })

  function tell(told: Counter<L>, tallied: Tallied): void {
    if (tallied.count === 0) return
    const labels: Partial<Record<L, string>> = {}
    if (firstName !== undefined) labels[firstName] = tallied.first
    if (secondName !== undefined) labels[secondName] = tallied.second
    told.inc(labels, tallied.count)
    tallied.count = 0
  }

  function make(first: string, second: string): Tallied {
    let seconds = tallies.get(first)
    if (seconds === undefined) {
      seconds = new Map()
      tallies.set(first, seconds)
    }
    const tallied = { first, second, count: 0 }
    seconds.set(second, tallied)
    return tallied
  }

  return Object.assign(counter, {
    count(first: string, second = '', amount = 1): void {
      const tallied = tallies.get(first)?.get(second) ?? make(first, second)
      tallied.count += amount
    },
  })
}

/**
 * A histogram with one label or none, of the form of prom-client's, which can be told of nothing but single observations.
 * `bounds` in seconds, rising. One without a label is announced and observed under ''.
 */
export function createDurations(
  registry: Registry,
  { name, help, bounds, label }: DurationsOptions,
): Durations & { readonly name: string } {
  /** The counts of each bucket and of what is above them all, then the sum. */
  const series = new Map<string, Float64Array>()
  const sumAt = bounds.length + 1

  function seriesOf(value: string): Float64Array {
    let counts = series.get(value)
    if (counts === undefined) {
      counts = new Float64Array(bounds.length + 2)
      series.set(value, counts)
    }
    return counts
  }

  function valuesOf(value: string, counts: Float64Array) {
    const labels = label === null ? {} : { [label]: value }
    let count = 0
    const buckets = [...bounds, '+Inf'].map((le, i) => {
      count += counts[i]!
      return { labels: { le, ...labels }, value: count, metricName: `${name}_bucket` }
    })
    return [
      ...buckets,
      { labels, value: counts[sumAt]!, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ]
  }

  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => ({
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values: [...series].flatMap(([value, counts]) => valuesOf(value, counts)),
    }),
    reset: () => series.clear(),
  }
  // All that a registry asks of a metric; its declaration names the classes that there are.
  registry.registerMetric(metric as unknown as Metric)
  if (label === null) seriesOf('')

  return {
    name,
    announce: (value) => void seriesOf(value),
    observe(value, seconds) {
      const counts = seriesOf(value)
      let at = 0
      while (at < bounds.length && seconds > bounds[at]!) at++
      counts[at]!++
      counts[sumAt]! += seconds
    },
  }
}

export type DurationsOptions = {
  readonly name: string
  readonly help: string
  readonly bounds: readonly number[]
  readonly label: string | null
}
