import { FACTORS } from '../policy/factors.ts'
import type { Limit, Rate } from '../policy/types.ts'
import { type Bucket, TOKEN } from './bucket.ts'

/**
 * The buckets behind one `per: device` limit, the shared ones as large as their network's crowd makes them. The same crowd
 * gives the same object. `members` counts the live members; `halfWeights` sums their weights in halves; a parent network's
 * pools are `factor` times one network's.
 */
export type Pools = {
  /** One device's own. */
  readonly device: Bucket
  /** One class's. */
  classes(members: number): Bucket
  newcomers(members: number, factor: number): Bucket
  members(halfWeights: number, factor: number): Bucket
}

/** A whole number of micro-tokens that doubles hold exactly with room for a cost on top. */
const MAX_CAPACITY = 2 ** 52

/** Works out the pools of a limit; `divide` gives an instance's share of a bucket. */
export function createPools(limit: Limit, divide: (bucket: Bucket) => Bucket): Pools {
  const { name, rate, burst } = limit
  const newcomersOf = limit.newcomers ?? {
    rate: times(rate, FACTORS.newcomersRate),
    burst: FACTORS.newcomersBurst * burst,
  }
  const membersOf = limit.members ?? {
    base: times(rate, FACTORS.membersRate),
    perDevice: part(rate, FACTORS.membersPerWeight),
  }
  const device = divide(bucketOf(name, rate, burst * TOKEN))

  const classes = remembered((members) => {
    const { num, den } = FACTORS.classPerMember
    const grown = scaleRate(rate, den + num * members, den)
    return bucketOf(name, grown, (burst * TOKEN * (den + num * members)) / den)
  }, divide)

  const newcomers = remembered((members, factor) => {
    const perMember = part(rate, FACTORS.newcomersPerMember)
    const grown = scaleRate(plus(newcomersOf.rate, perMember, members), factor, 1)
    return bucketOf(`${name}+newcomers`, grown, newcomersOf.burst * TOKEN * factor)
  }, divide)

  const members = remembered((halfWeights, factor) => {
    const grown = scaleRate(plus(scaleRate(membersOf.base, 2, 1), membersOf.perDevice, halfWeights), factor, 2)
    const { num, den } = FACTORS.membersBurstPerWeight
    const tokens = factor * burst * (FACTORS.membersBurst + (num * halfWeights) / (2 * den))
    const seconds = (FACTORS.membersSeconds * grown.tokens) / grown.seconds
    return bucketOf(`${name}+members`, grown, Math.max(tokens, seconds) * TOKEN)
  }, divide)

  return { device, classes: (count) => classes(count, 1), newcomers, members }
}

function bucketOf(name: string, { tokens, seconds }: Rate, capacity: number): Bucket {
  return { name, capacity: Math.min(MAX_CAPACITY, Math.floor(capacity)), tokens, seconds }
}

/** Makes each pool once; one that has grown knows what it is alone. */
function remembered(
  make: (crowd: number, factor: number) => Bucket,
  divide: (bucket: Bucket) => Bucket,
): (crowd: number, factor: number) => Bucket {
  const made = new Map<number, Bucket[]>()
  return (crowd, factor) => {
    let sized = made.get(factor)
    if (sized === undefined) {
      sized = []
      made.set(factor, sized)
    }
    let bucket = sized[crowd]
    if (bucket === undefined) {
      bucket = divide(make(crowd, factor))
      if (crowd > 0 || factor !== 1) bucket = { ...bucket, base: divide(make(0, 1)) }
      sized[crowd] = bucket
    }
    return bucket
  }
}

function times(rate: Rate, factor: number): Rate {
  return { tokens: rate.tokens * factor, seconds: rate.seconds }
}

function part(rate: Rate, { num, den }: { readonly num: number; readonly den: number }): Rate {
  return { tokens: rate.tokens * num, seconds: rate.seconds * den }
}

/** `a + count * b`. */
function plus(a: Rate, b: Rate, count: number): Rate {
  if (count === 0) return a
  return normal(a.tokens * b.seconds + count * b.tokens * a.seconds, a.seconds * b.seconds)
}

function scaleRate(rate: Rate, num: number, den: number): Rate {
  return num === den ? rate : normal(rate.tokens * num, rate.seconds * den)
}

/**
 * A rate in whole numbers small enough for the bucket's arithmetic to be exact (every product below 2^53): in lowest terms, and
 * where that is not enough rounded down by less than a hundred-thousandth.
 */
function normal(tokens: number, seconds: number): Rate {
  if (Number.isSafeInteger(tokens) && Number.isSafeInteger(seconds)) {
    const divisor = commonDivisor(tokens, seconds)
    const lowest = { tokens: tokens / divisor, seconds: seconds / divisor }
    if (lowest.tokens * lowest.seconds < MAX_CAPACITY) return lowest
  }
  const perSecond = tokens / seconds
  const rounded = Math.floor(Math.sqrt(MAX_CAPACITY / perSecond))
  return { tokens: Math.floor(perSecond * rounded), seconds: rounded }
}

function commonDivisor(a: number, b: number): number {
  while (b > 0) [a, b] = [b, a % b]
  return a
}
