import fc from 'fast-check'
import t from 'tap'
import {
  admits,
  type Bucket,
  CLOCK_STEP_US,
  debtAt,
  drainUs,
  nextTokenUs,
  remainingTokens,
  TOKEN,
  timeAfter,
  waitUs,
} from '../../src/limiter/bucket.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { bucketVectors } from '../contracts/store.ts'

const RUNS = { seed: 20_240_601, numRuns: 3000 }

/** What a store does with one bucket, in three lines: the arithmetic is proved here before any store is. */
type State = { debt: number; timeUs: number }
function charge(bucket: Bucket, state: State, nowUs: number, cost: number): boolean {
  const debt = debtAt(bucket, state.debt, state.timeUs, nowUs)
  if (!admits(bucket, debt, cost)) return false
  state.debt = debt + cost
  state.timeUs = timeAfter(state.timeUs, nowUs)
  return true
}

t.test('golden vectors', async (t) => {
  for (const { name, steps } of bucketVectors()) {
    t.test(name, async (t) => {
      let debt = 0
      let timeUs = 0
      for (const step of steps) {
        const { bucket, at, cost } = step
        const before = debt === 0 ? 0 : debtAt(bucket, debt, timeUs, at)
        const admitted = admits(bucket, before, cost)
        const after = admitted ? before + cost : before
        const wait = waitUs(bucket, before, cost)
        const remaining = remainingTokens(bucket, after)
        const next = nextTokenUs(bucket, after)
        t.same({ at, debt: before, admitted, remaining, wait, next }, step.expected)
        if (!admitted && timeUs - at <= CLOCK_STEP_US) continue
        timeUs = debt === 0 ? at : timeAfter(timeUs, at)
        debt = after
      }
    })
  }
})

const rates = fc.record({
  tokens: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 1_000_000 })),
  seconds: fc.constantFrom(1, 60, 3600, 86_400),
})
/** Up to the largest burst that a policy may give. */
const bursts = fc.oneof(
  fc.integer({ min: 1, max: 10 }),
  fc.integer({ min: 1, max: 1_000_000 }),
  fc.integer({ min: 1, max: 1_000_000_000 }),
)
const buckets = fc.record({ rate: rates, burst: bursts }).map(({ rate, burst }) => createBucket('b', rate, burst))
/** A part of something, in millionths. */
const parts = fc.oneof(fc.constantFrom(0, 1, 999_999, 1_000_000), fc.integer({ min: 0, max: 1_000_000 }))

/** A bucket with what it owes just after a write. */
const owing = fc.tuple(buckets, parts, fc.integer({ min: 0, max: TOKEN })).map(([bucket, part, more]) => ({
  bucket,
  debt: Math.min(bucket.capacity, Math.floor(bucket.capacity / TOKEN) * part + more),
}))

/** Costs from one token to the whole burst, mostly small. */
const costs = (bucket: Bucket, part: number) =>
  TOKEN * Math.max(1, Math.floor(((bucket.capacity / TOKEN) * part * part * part) / 1e18))

const T0 = 1_700_000_000_000_000

t.test('no more than the burst and the rate passes, from a full bucket over any time', async () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), parts), { minLength: 5, maxLength: 60 })
  fc.assert(
    fc.property(buckets, steps, (bucket, steps) => {
      const state = { debt: 0, timeUs: T0 }
      let taken = 0n
      let nowUs = T0
      for (const [wait, part] of steps) {
        const cost = costs(bucket, part)
        nowUs += Math.floor((Math.min(drainUs(bucket, cost), 2 ** 40) * wait) / 2000)
        if (!charge(bucket, state, nowUs, cost)) continue
        taken += BigInt(cost)
        const seconds = BigInt(bucket.seconds)
        const bound = BigInt(bucket.capacity) * seconds + BigInt(nowUs - T0) * BigInt(bucket.tokens)
        if (taken * seconds > bound) return false
      }
      return true
    }),
    RUNS,
  )
})

t.test('rounding takes less than one micro-token from a client for each charge', async () => {
  const waits = fc.array(fc.integer({ min: 0, max: 3_000_000 }), { minLength: 5, maxLength: 60 })
  fc.assert(
    fc.property(rates, waits, (rate, waits) => {
      const bucket = createBucket('b', rate, 1_000_000)
      const state = { debt: bucket.capacity / 2, timeUs: T0 }
      let nowUs = T0
      let charges = 0n
      let taken = BigInt(state.debt)
      for (const wait of waits) {
        nowUs += wait
        if (debtAt(bucket, state.debt, state.timeUs, nowUs) === 0) break
        if (!charge(bucket, state, nowUs, TOKEN)) break
        taken += BigInt(TOKEN)
        charges++
        const owed = taken * BigInt(rate.seconds) - BigInt(nowUs - T0) * BigInt(rate.tokens)
        if (BigInt(state.debt) * BigInt(rate.seconds) - owed > charges * BigInt(rate.seconds)) return false
      }
      return true
    }),
    RUNS,
  )
})

t.test('the arithmetic is exact for every bucket that a policy can write, over centuries', async () => {
  const elapsed = fc.oneof(fc.integer({ min: 0, max: 100_000_000 }), fc.integer({ min: 0, max: 2 ** 53 - 1 }))
  const floor = (us: number, bucket: Bucket) => (BigInt(us) * BigInt(bucket.tokens)) / BigInt(bucket.seconds)
  const ceil = (debt: number, bucket: Bucket) =>
    (BigInt(debt) * BigInt(bucket.seconds) + BigInt(bucket.tokens) - 1n) / BigInt(bucket.tokens)
  fc.assert(
    fc.property(owing, elapsed, ({ bucket, debt }, us) => {
      const drained = floor(us, bucket)
      const left = drained > BigInt(debt) ? 0n : BigInt(debt) - drained
      const wait = ceil(debt, bucket)
      return (
        BigInt(debtAt(bucket, debt, 0, us)) === left && (wait >= 2n ** 53n || BigInt(drainUs(bucket, debt)) === wait)
      )
    }),
    { seed: 1, numRuns: 100_000 },
  )
})

t.test('a wait of years is exact to the microsecond', async (t) => {
  const bucket = createBucket('b', { tokens: 11_928, seconds: 86_400 }, 615_032_558)
  const cost = 497_061_860 * TOKEN
  const debt = 523_658_975_268_107
  t.ok(admits(bucket, debtAt(bucket, debt, 0, waitUs(bucket, debt, cost)), cost))
})

t.test('the wait is exact: that many microseconds are enough, one less is not', async () => {
  fc.assert(
    fc.property(owing, parts, ({ bucket, debt }, part) => {
      const cost = costs(bucket, part)
      const wait = waitUs(bucket, debt, cost)
      fc.pre(wait < 2 ** 52)
      const admitsAfter = (us: number) => admits(bucket, debtAt(bucket, debt, 0, us), cost)
      if (wait === 0) return admitsAfter(0)
      return admitsAfter(wait) && !admitsAfter(wait - 1) && admitsAfter(Math.ceil(wait / 1e6) * 1e6)
    }),
    RUNS,
  )
})

t.test('a wait told later is enough too, and no longer than one micro-token drains', async () => {
  fc.assert(
    fc.property(owing, parts, parts, ({ bucket, debt }, part, when) => {
      const cost = costs(bucket, part)
      const wait = waitUs(bucket, debt, cost)
      fc.pre(wait > 0 && wait < 2 ** 52)
      const askedUs = Math.floor((wait - 1) * (when / 1e6))
      const told = waitUs(bucket, debtAt(bucket, debt, 0, askedUs), cost)
      const slackUs = Math.ceil(bucket.seconds / bucket.tokens)
      const isEnough = (us: number) => admits(bucket, debtAt(bucket, debt, 0, askedUs + us), cost)
      return isEnough(told) && isEnough(Math.ceil(told / 1e6) * 1e6) && askedUs + told <= wait + slackUs
    }),
    RUNS,
  )
})

t.test('the tokens said to remain are the charges of 1 that then pass', async () => {
  fc.assert(
    fc.property(owing, ({ bucket, debt }) => {
      const remaining = remainingTokens(bucket, debt)
      const isLastAdmitted = remaining === 0 || admits(bucket, debt + (remaining - 1) * TOKEN, TOKEN)
      return isLastAdmitted && !admits(bucket, debt + remaining * TOKEN, TOKEN)
    }),
    RUNS,
  )
})

t.test('the next token comes at its microsecond, not before', async () => {
  fc.assert(
    fc.property(owing, ({ bucket, debt }) => {
      const next = nextTokenUs(bucket, debt)
      if (debt === 0) return next === 0
      const remainingAfter = (us: number) => remainingTokens(bucket, debtAt(bucket, debt, 0, us))
      const remaining = remainingTokens(bucket, debt)
      return remainingAfter(next) === remaining + 1 && remainingAfter(next - 1) === remaining
    }),
    RUNS,
  )
})

t.test("an instance's share, which is no whole number of tokens, tells its next token exactly too", async () => {
  const shares = fc.tuple(buckets, fc.integer({ min: 2, max: 7 }), parts).map(([whole, instances, part]) => {
    const capacity = Math.max(TOKEN, Math.floor(whole.capacity / instances))
    const bucket = { ...whole, capacity, seconds: whole.seconds * instances }
    return { bucket, debt: Math.floor((capacity / 1e6) * part) }
  })
  fc.assert(
    fc.property(shares, ({ bucket, debt }) => {
      fc.pre(debt > 0)
      const next = nextTokenUs(bucket, debt)
      const remainingAfter = (us: number) => remainingTokens(bucket, debtAt(bucket, debt, 0, us))
      const remaining = remainingTokens(bucket, debt)
      const most = remainingTokens(bucket, 0)
      if (remaining === most) return debtAt(bucket, debt, 0, next) === 0
      return remainingAfter(next) === remaining + 1 && remainingAfter(next - 1) === remaining
    }),
    RUNS,
  )
})

/** Moves of the clock, around the step at which a bucket takes the new time over. */
const moves = (furthestBack: number) =>
  fc.array(
    fc.tuple(
      fc.oneof(fc.integer({ min: -furthestBack, max: 3_000_000 }), fc.constantFrom(0, -furthestBack)),
      fc.integer({ min: 1, max: 3 }),
    ),
    { minLength: 5, maxLength: 80 },
  )
const slowBuckets = fc
  .record({
    rate: fc.record({ tokens: fc.integer({ min: 1, max: 300 }), seconds: fc.constantFrom(1, 60) }),
    burst: bursts,
  })
  .map(({ rate, burst }) => createBucket('b', rate, Math.max(3, Math.min(20, burst))))

t.test('a clock that steps back lets nothing more pass than the time it moved forward', async () => {
  fc.assert(
    fc.property(slowBuckets, moves(7_200_000_000), (bucket, moves) => {
      const state = { debt: 0, timeUs: T0 }
      let taken = 0
      let forwardUs = 0
      let nowUs = T0
      for (const [move, cost] of moves) {
        nowUs += move
        forwardUs += Math.max(0, move)
        if (charge(bucket, state, nowUs, cost * TOKEN)) taken += cost * TOKEN
      }
      return taken * bucket.seconds <= bucket.capacity * bucket.seconds + forwardUs * bucket.tokens
    }),
    RUNS,
  )
})

t.test('a clock that trembles within a second refills nothing twice', async () => {
  const trembling = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 500_000 }), fc.integer({ min: 0, max: CLOCK_STEP_US })),
    {
      minLength: 5,
      maxLength: 120,
    },
  )
  fc.assert(
    fc.property(slowBuckets, trembling, (bucket, trembling) => {
      const state = { debt: 0, timeUs: T0 }
      let taken = 0
      let latestUs = T0
      for (const [forward, back] of trembling) {
        latestUs += forward
        if (charge(bucket, state, latestUs, TOKEN)) taken += TOKEN
        if (charge(bucket, state, latestUs - back, TOKEN)) taken += TOKEN
      }
      return taken * bucket.seconds <= bucket.capacity * bucket.seconds + (latestUs - T0) * bucket.tokens
    }),
    RUNS,
  )
})

t.test('a clock that steps back far locks nobody longer than an empty bucket takes', async (t) => {
  const bucket = createBucket('b', { tokens: 1, seconds: 1 }, 2)
  const state = { debt: 0, timeUs: T0 }
  t.ok(charge(bucket, state, T0, TOKEN))
  t.ok(charge(bucket, state, T0 - 3_600 * 1e6, TOKEN))
  t.notOk(charge(bucket, state, T0 - 3_600 * 1e6, TOKEN))
  t.ok(charge(bucket, state, T0 - 3_599 * 1e6, TOKEN))
})
