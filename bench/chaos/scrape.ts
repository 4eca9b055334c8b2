import { sumSamples } from '../../test/fixtures/app.ts'

/** The sum of a metric over all instances. */
export function sumOf(scrapes: readonly string[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  return scrapes.reduce((sum, text) => sum + sumSamples(text, name, labels), 0)
}

const NAME = 'sluice_decision_duration_seconds'

/** The decisions taken between two scrapes of all instances: how many, and by how many milliseconds they were taken. */
export function decisionsBetween(before: readonly string[], after: readonly string[]) {
  const bounds = new Set(
    after
      .flatMap((text) => [...text.matchAll(/^sluice_decision_duration_seconds_bucket\{le="([^"]+)"/gm)])
      .map(([, le]) => le!),
  )
  const between = (name: string, labels = {}) => sumOf(after, name, labels) - sumOf(before, name, labels)
  const steps = [...bounds]
    .map((le) => ({
      ms: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le) * 1000,
      count: between(`${NAME}_bucket`, { le }),
    }))
    .sort((a, b) => a.ms - b.ms)
  const total = between(`${NAME}_count`)
  return {
    total,
    /** The bound (milliseconds) of the histogram below which 99 % were taken. */
    p99: steps.find(({ count }) => count >= total * 0.99)?.ms ?? 0,
    /** The part that took longer than the first bound of the histogram that is no less. */
    above: (ms: number) => 1 - steps.find((step) => step.ms >= ms)!.count / Math.max(1, total),
  }
}
