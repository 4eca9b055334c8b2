import fc from 'fast-check'
import t from 'tap'
import { TOKEN } from '../../src/limiter/bucket.ts'
import { createPools } from '../../src/limiter/pools.ts'
import { limitOf } from '../fixtures/policy.ts'

const whole = <T>(bucket: T) => bucket
const perSecond = ({ tokens, seconds }: { tokens: number; seconds: number }) => tokens / seconds

t.test('a network alone has the pools of the policy', async (t) => {
  const pools = createPools(limitOf(), whole)
  t.match(pools.device, { name: 'device', capacity: 30 * TOKEN, tokens: 60, seconds: 60 })
  t.same(pools.classes(0), pools.device)
  t.match(pools.newcomers(0, 1), { name: 'device+newcomers', capacity: 60 * TOKEN, tokens: 300, seconds: 60 })
  t.match(pools.members(0, 1), { name: 'device+members', capacity: 90 * TOKEN })
  t.equal(perSecond(pools.members(0, 1)), 10)
})

t.test('pools grow with the crowd by the formulas of the design', async (t) => {
  // r = 1/s, B = 30: classes r(1 + 0.05m), B(1 + 0.05m); newcomers 5r + 0.02rm, 2B; members 10r + 0.25rW, 3B + 0.05BW.
  const pools = createPools(limitOf(), whole)
  for (const m of [1, 7, 20, 500, 2000]) {
    t.equal(perSecond(pools.classes(m)), 1 + 0.05 * m)
    t.equal(pools.classes(m).capacity, Math.floor(30 * TOKEN * (20 + m)) / 20)
    t.ok(Math.abs(perSecond(pools.newcomers(m, 1)) - (5 + 0.02 * m)) < 1e-9)
    t.equal(pools.newcomers(m, 1).capacity, 60 * TOKEN)
    const w = m / 2
    t.ok(Math.abs(perSecond(pools.members(m, 1)) - (10 + 0.25 * w)) < 1e-9)
    t.equal(pools.members(m, 1).capacity, Math.floor(Math.max(90 + 1.5 * w, 2 * (10 + 0.25 * w)) * TOKEN))
    t.ok(Math.abs(perSecond(pools.members(m, 4)) - 4 * (10 + 0.25 * w)) < 1e-9)
    t.equal(pools.newcomers(m, 4).capacity, 240 * TOKEN)
  }
})

t.test('what the policy writes takes the place of the defaults', async (t) => {
  const pools = createPools(
    limitOf({
      newcomers: { rate: { tokens: 2, seconds: 1 }, burst: 7 },
      members: { base: { tokens: 3, seconds: 1 }, perDevice: { tokens: 6, seconds: 60 } },
    }),
    whole,
  )
  t.match(pools.newcomers(0, 1), { capacity: 7 * TOKEN })
  t.equal(perSecond(pools.newcomers(50, 1)), 3)
  t.ok(Math.abs(perSecond(pools.members(20, 1)) - 4) < 1e-9)
})

t.test('the same crowd has the same bucket, and a grown one knows what it is alone', async (t) => {
  const pools = createPools(limitOf(), whole)
  t.equal(pools.members(9, 1), pools.members(9, 1))
  t.same(pools.members(9, 1).base, pools.members(0, 1))
  t.equal(pools.members(0, 1).base, undefined)
})

t.test('every pool of every policy stays within exact arithmetic', async () => {
  const rate = fc.record({
    tokens: fc.integer({ min: 1, max: 1_000_000 }),
    seconds: fc.constantFrom(1, 60, 3600, 86_400),
  })
  fc.assert(
    fc.property(
      rate,
      fc.integer({ min: 1, max: 1_000_000_000 }),
      fc.integer({ min: 0, max: 100_000 }),
      fc.constantFrom(1, 4, 16),
      (limitRate, burst, crowd, factor) => {
        const pools = createPools(limitOf({ rate: limitRate, burst }), whole)
        const alone = [pools.classes(0), pools.newcomers(0, factor), pools.members(0, factor)]
        const grown = [pools.classes(crowd), pools.newcomers(crowd, factor), pools.members(crowd, factor)]
        return grown.every(({ capacity, tokens, seconds }, i) => {
          const isWhole = [capacity, tokens, seconds].every((one) => Number.isSafeInteger(one) && one > 0)
          const isLarger = capacity >= alone[i]!.capacity && tokens / seconds >= (1 - 1e-5) * perSecond(alone[i]!)
          return isWhole && isLarger && tokens * seconds <= Number.MAX_SAFE_INTEGER && capacity <= 2 ** 52
        })
      },
    ),
    { seed: 3, numRuns: 1000 },
  )
})
