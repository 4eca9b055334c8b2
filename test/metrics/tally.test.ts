import fc from 'fast-check'
import { AggregatorRegistry, Counter, Histogram, Registry } from 'prom-client'
import t from 'tap'
import { createDurations, createTally } from '../../src/metrics/tally.ts'

const BOUNDS = [0.001, 0.01, 0.1]
const label = fc.constantFrom('forwarded', 'limited', 'a "quoted" one', '')
const seconds = fc.oneof(
  fc.constantFrom(0, 0.001, 0.01, 0.1, 0.1000001, 30),
  fc.double({ min: 0, max: 1, noNaN: true }),
)

t.test('a tally reads as the counter of the library does', async (t) => {
  const happened = fc.array(fc.tuple(label, label))
  await fc.assert(
    fc.asyncProperty(happened, happened, async (early, late) => {
      const [ours, theirs] = [new Registry(), new Registry()]
      const configuration = { name: 'n', help: 'h', labelNames: ['route', 'outcome'] as const }
      const tally = createTally({ ...configuration, registers: [ours] })
      const counter = new Counter({ ...configuration, registers: [theirs] })
      for (const counted of [early, late]) {
        for (const [route, outcome] of counted) {
          tally.count(route, outcome)
          counter.inc({ route, outcome })
        }
        t.same(linesOf(await ours.metrics()), linesOf(await theirs.metrics()))
      }
    }),
  )
})

t.test('a tally of no or of one label counts too, and beside what is counted by `inc`', async (t) => {
  const registry = new Registry()
  const one = createTally({ name: 'one', help: 'h', labelNames: ['tier'], registers: [registry] })
  const none = createTally({ name: 'none', help: 'h', registers: [registry] })
  one.inc({ tier: 'class' }, 0)
  one.inc({ tier: 'member' }, 2)
  one.count('member')
  one.count('member', '', 1.5)
  none.count('')
  const text = await registry.metrics()
  t.match(text, 'one{tier="class"} 0\none{tier="member"} 4.5\n')
  t.match(text, '\nnone 1\n')
  t.equal(await registry.metrics(), text, 'reading counts nothing')
})

for (const labelName of ['outcome', null]) {
  t.test(`durations with ${labelName ?? 'no'} label read as the histogram of the library does`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(label, seconds)), async (observed) => {
        const [ours, theirs] = [new Registry(), new Registry()]
        const durations = createDurations(ours, { name: 'n', help: 'h', bounds: BOUNDS, label: labelName })
        const labelNames = labelName === null ? [] : [labelName]
        const histogram = new Histogram({ name: 'n', help: 'h', buckets: BOUNDS, labelNames, registers: [theirs] })
        for (const [value, took] of observed) {
          durations.observe(labelName === null ? '' : value, took)
          histogram.observe(labelName === null ? {} : { outcome: value }, took)
        }
        t.equal(await ours.metrics(), await theirs.metrics())
      }),
    )
  })
}

t.test('durations that are announced stand at zero, and announced again where they stood', async (t) => {
  const registry = new Registry()
  const durations = createDurations(registry, { name: 'n', help: 'h', bounds: BOUNDS, label: 'outcome' })
  durations.announce('limited')
  t.match(await registry.metrics(), 'n_count{outcome="limited"} 0')
  durations.observe('limited', 1)
  durations.announce('limited')
  t.match(await registry.metrics(), 'n_count{outcome="limited"} 1')
})

t.test('durations of several processes add up', async (t) => {
  const snapshots = await Promise.all(
    [0.5, 0.05].map((took) => {
      const registry = new Registry()
      createDurations(registry, { name: 'n', help: 'h', bounds: BOUNDS, label: null }).observe('', took)
      return registry.getMetricsAsJSON()
    }),
  )
  const text = await AggregatorRegistry.aggregate(snapshots as unknown as object[][]).metrics()
  t.match(text, 'n_bucket{le="0.1"} 1')
  t.match(text, 'n_sum 0.55')
  t.match(text, 'n_count 2')
})

/** Which series came first is no one's business. */
function linesOf(metrics: string): string[] {
  return metrics.split('\n').sort()
}
