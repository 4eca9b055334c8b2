import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import type { Test } from 'tap'
import { admits, type Bucket, CLOCK_STEP_US, TOKEN } from '../../src/limiter/bucket.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { type Debit, isAdmitted as isDebitAdmitted } from '../../src/limiter/store.ts'

/** A store to be held to its contract, with the clock it lives by. */
export type StoreUnderTest = {
  readonly store: { charge(debits: readonly Debit[]): readonly number[] | Promise<readonly number[]> }
  /** Microseconds, any number: the contract moves it in both directions. */
  readonly clock: { us: number }
}

/** Where the contract's clock stands at first: a real time of day, as Redis has it. */
export const T0 = 1_700_000_000_000_000

/** A bucket's life from full, worked out by hand: `expected` is what a charge must find and say. */
export type BucketVector = {
  readonly name: string
  readonly steps: readonly {
    readonly bucket: Bucket
    readonly at: number
    readonly cost: number
    readonly expected: {
      readonly at: number
      readonly debt: number
      readonly admitted: boolean
      readonly remaining: number
      readonly wait: number
      readonly next: number
    }
  }[]
}

type WrittenStep = BucketVector['steps'][number]['expected'] & {
  readonly cost: number
  readonly bucket?: { readonly burst: number; readonly tokens: number; readonly seconds: number }
}

/** Reads test/fixtures/bucket-vectors.json, where a step names its bucket only when it changes, and costs are tokens. */
export function bucketVectors(): BucketVector[] {
  const file = new URL('../fixtures/bucket-vectors.json', import.meta.url)
  const written = JSON.parse(readFileSync(file, 'utf8')) as { name: string; steps: WrittenStep[] }[]
  return written.map(({ name, steps }) => {
    let bucket = createBucket('unnamed', { tokens: 1, seconds: 1 }, 1)
    return {
      name,
      steps: steps.map(({ bucket: changed, cost, ...expected }) => {
        if (changed !== undefined) bucket = createBucket('vector', changed, changed.burst)
        return { bucket, at: expected.at, cost: cost * TOKEN, expected }
      }),
    }
  })
}

const rate = { tokens: 6, seconds: 60 }
const three = createBucket('three', rate, 3)
const ten = createBucket('ten', rate, 10)
/** Microseconds in which the contract's buckets refill a token. */
const TOKEN_US = 10_000_000

/** A debit of one token from a bucket of 3 of group 0, unless told otherwise; `tokens` is its cost. */
export function debitOf({ tokens = 1, ...changes }: Partial<Debit> & { readonly tokens?: number } = {}): Debit {
  return {
    bucket: three,
    id: 'device',
    tag: 'network',
    cost: tokens * TOKEN,
    group: 0,
    reserve: 0,
    floor: 0,
    ...changes,
  }
}

/** Whether the debits of a group were admitted, by the debts that the store answered with. */
export function isAdmitted(debits: readonly Debit[], debts: readonly number[], group = 0): boolean {
  return debits.every((debit, i) => debit.group !== group || isDebitAdmitted(debit, debts[i]!))
}

/** What every store of buckets promises (src/limiter/store.ts). `open` makes an empty one and disposes of it with `t.teardown`. */
export function storeContract(t: Test, name: string, open: (t: Test) => Promise<StoreUnderTest>): void {
  t.test(`${name} keeps the store's contract`, async (t) => {
    const isCharged = async ({ store }: StoreUnderTest, ...debits: Debit[]) =>
      isAdmitted(debits, await store.charge(debits))
    /** The debts, in tokens; a cost that no bucket holds is refused, so nothing changes. */
    const owed = async ({ store }: StoreUnderTest, ...debits: Debit[]) => {
      const looks = debits.map((debit) => ({
        ...debit,
        group: 0,
        cost: debit.bucket.capacity + 1,
        reserve: 0,
        floor: 0,
      }))
      const debts = await store.charge(looks)
      return debts.map((debt) => debt / TOKEN)
    }

    t.test('no debits, no debts', async (t) => {
      const { store } = await open(t)
      t.same(await store.charge([]), [])
    })

    t.test('a full bucket passes exactly its burst at one instant', async (t) => {
      const it = await open(t)
      const passed: boolean[] = []
      for (let i = 0; i < 5; i++) passed.push(await isCharged(it, debitOf()))
      t.same(passed, [true, true, true, false, false])
    })

    t.test('it answers with the debts before the charge, in the order of the debits', async (t) => {
      const { store } = await open(t)
      const a = debitOf({ id: 'a', tokens: 2 })
      const b = debitOf({ id: 'b', bucket: ten, tokens: 7 })
      t.same(await store.charge([a, b]), [0, 0])
      t.same(
        await store.charge([
          { ...b, cost: TOKEN },
          { ...a, cost: TOKEN },
        ]),
        [7 * TOKEN, 2 * TOKEN],
      )
      t.same(await store.charge([a, b]), [3 * TOKEN, 8 * TOKEN])
    })

    t.test('a token comes back with time, at its microsecond', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      it.clock.us += TOKEN_US - 1
      t.notOk(await isCharged(it, debitOf()))
      it.clock.us += 1
      t.ok(await isCharged(it, debitOf()))
      t.notOk(await isCharged(it, debitOf()))
    })

    t.test('a bucket never holds more than its burst', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf()))
      it.clock.us += 1000 * TOKEN_US
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      t.notOk(await isCharged(it, debitOf()))
    })

    t.test('a request that one bucket refuses costs nothing in the others', async (t) => {
      const it = await open(t)
      const full = debitOf({ id: 'full', bucket: ten })
      const empty = debitOf({ id: 'empty' })
      t.ok(await isCharged(it, { ...empty, cost: 3 * TOKEN }))
      for (const debits of [
        [full, empty],
        [empty, full],
      ]) {
        t.notOk(await isCharged(it, ...debits))
        t.same(await owed(it, full, empty), [0, 3])
      }
    })

    t.test('a refused request does not put off the next token', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      for (let i = 0; i < 10; i++) {
        it.clock.us += TOKEN_US / 10 - (i === 9 ? 1 : 0)
        t.notOk(await isCharged(it, debitOf()))
      }
      it.clock.us += 1
      t.ok(await isCharged(it, debitOf()))
    })

    t.test('a cost above the burst is never admitted, and costs nothing', async (t) => {
      const it = await open(t)
      t.notOk(await isCharged(it, debitOf({ tokens: 4 })))
      t.same(await owed(it, debitOf()), [0])
    })

    t.test('a shadow group that refuses lets the request pass, and is not charged itself', async (t) => {
      const it = await open(t)
      const enforced = debitOf({ id: 'enforced', bucket: ten })
      const shadow = debitOf({ id: 'shadow', group: 1 })
      t.ok(await isCharged(it, { ...shadow, group: 0, cost: 3 * TOKEN }))
      const debits = [shadow, enforced]
      const debts = await it.store.charge(debits)
      t.ok(isAdmitted(debits, debts, 0))
      t.notOk(isAdmitted(debits, debts, 1))
      t.same(await owed(it, enforced, shadow), [1, 3])
    })

    t.test('shadow groups do not touch one another, and each is charged whole or not at all', async (t) => {
      const it = await open(t)
      const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => debitOf({ id }))
      t.ok(await isCharged(it, { ...c!, cost: 3 * TOKEN }))
      await it.store.charge([a!, { ...b!, group: 1 }, { ...c!, group: 1 }, { ...d!, group: 2 }])
      t.same(await owed(it, a!, b!, c!, d!), [1, 0, 3, 1])
    })

    t.test('shadow groups are not charged for a request that is refused', async (t) => {
      const it = await open(t)
      const enforced = debitOf({ id: 'enforced' })
      const shadow = debitOf({ id: 'shadow', group: 1 })
      t.ok(await isCharged(it, { ...enforced, cost: 3 * TOKEN }))
      t.notOk(await isCharged(it, shadow, enforced))
      t.same(await owed(it, shadow), [0])
    })

    t.test('shadow groups alone are charged, each by itself', async (t) => {
      const it = await open(t)
      const [a, b] = [debitOf({ id: 'a', group: 1 }), debitOf({ id: 'b', group: 2, tokens: 4 })]
      await it.store.charge([a, b])
      t.same(await owed(it, a, b), [1, 0])
    })

    t.test('a reserve stays in the bucket, for a debit without one', async (t) => {
      const it = await open(t)
      const humble = debitOf({ reserve: 2 * TOKEN })
      t.ok(await isCharged(it, humble))
      t.notOk(await isCharged(it, humble))
      t.ok(await isCharged(it, debitOf({ tokens: 2 })))
      t.notOk(await isCharged(it, debitOf()))
    })

    t.test('a reserve below 0 takes what is not there; what is owed beyond the burst is clamped', async (t) => {
      const it = await open(t)
      const forced = debitOf({ tokens: 2, reserve: -three.capacity })
      t.ok(await isCharged(it, forced))
      t.ok(await isCharged(it, forced))
      t.same(await owed(it, debitOf()), [3])
      t.ok(await isCharged(it, forced))
    })

    t.test('a floor is what a bucket owes at least, once it is charged', async (t) => {
      const it = await open(t)
      const newcomer = debitOf({ floor: 2 * TOKEN })
      t.notOk(await isCharged(it, newcomer, debitOf({ id: 'other', tokens: 4 })))
      t.same(await owed(it, debitOf()), [0])
      t.ok(await isCharged(it, newcomer))
      t.notOk(await isCharged(it, debitOf()))
      it.clock.us += TOKEN_US
      t.ok(await isCharged(it, newcomer))
      t.same(await owed(it, debitOf()), [3])
    })

    t.test('a raised burst admits at once', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      t.notOk(await isCharged(it, debitOf()))
      const raised = debitOf({ bucket: createBucket(three.name, rate, 5) })
      t.same(
        [await isCharged(it, raised), await isCharged(it, raised), await isCharged(it, raised)],
        [true, true, false],
      )
    })

    t.test('a lowered burst clamps what is owed to it', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ bucket: ten, tokens: 10 })))
      const lowered = debitOf({ bucket: createBucket(ten.name, rate, 2) })
      t.same(await owed(it, lowered), [2])
      it.clock.us += TOKEN_US
      t.ok(await isCharged(it, lowered))
      t.notOk(await isCharged(it, lowered))
    })

    t.test('a raised rate shortens the wait, and refills nothing', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      const faster = debitOf({ bucket: createBucket(three.name, { tokens: 12, seconds: 60 }, 3) })
      t.notOk(await isCharged(it, faster))
      it.clock.us += TOKEN_US / 2 - 1
      t.notOk(await isCharged(it, faster))
      it.clock.us += 1
      t.ok(await isCharged(it, faster))
    })

    t.test('a lowered rate lengthens the wait, and drains nothing', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 2 })))
      const slower = debitOf({ bucket: createBucket(three.name, { tokens: 3, seconds: 60 }, 3) })
      t.ok(await isCharged(it, slower))
      it.clock.us += 2 * TOKEN_US - 1
      t.notOk(await isCharged(it, slower))
      it.clock.us += 1
      t.ok(await isCharged(it, slower))
    })

    t.test('one client has a bucket of its own under each name', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      t.ok(await isCharged(it, debitOf({ bucket: { ...three, name: 'other' }, tokens: 3 })))
      t.notOk(await isCharged(it, debitOf()))
    })

    t.test('no two ids meet in one bucket, whatever stands in them', async (t) => {
      const it = await open(t)
      const long = 'x'.repeat(100_000)
      const ids = [
        'a',
        'A',
        'a:b',
        'a:b:c',
        ':',
        '{a}',
        '}a{',
        'a b',
        'a\nb',
        'a\0b',
        'a*',
        '%61',
        "'a'",
        '"a"',
        '0',
        '-1',
      ]
      const more = ['1e3', '__proto__', 'constructor', 'é', 'e\u0301', '漢字', '😀', ' ', '', long, `${long}x`]
      const debits = [...ids, ...more].map((id) => debitOf({ id, tokens: 3 }))
      for (const debit of debits) t.ok(await isCharged(it, debit), JSON.stringify(debit.id.slice(0, 10)))
      for (const debit of debits) t.notOk(await isCharged(it, debit), JSON.stringify(debit.id.slice(0, 10)))
    })

    t.test('names and ids do not run into each other', async (t) => {
      const it = await open(t)
      const names = ['a', 'a-b', 'a_b', 'a+newcomers']
      const debits = names.flatMap((name) =>
        ['x', 'b:x', '+newcomers:x'].map((id) => debitOf({ bucket: { ...three, name }, id, tokens: 3 })),
      )
      for (const debit of debits) t.ok(await isCharged(it, debit))
    })

    t.test('a call may hold many debits', async (t) => {
      const it = await open(t)
      const debits = Array.from({ length: 1500 }, (_, i) => debitOf({ id: `many-${i}` }))
      t.same(new Set(await it.store.charge(debits)), new Set([0]))
      t.ok(await isCharged(it, { ...debits[1499]!, cost: 2 * TOKEN }))
      t.notOk(await isCharged(it, ...debits))
      t.same(await owed(it, debits[0]!, debits[1499]!), [1, 3])
    })

    t.test('a hundred requests at once on one bucket pass exactly its burst', async (t) => {
      const it = await open(t)
      const passed = await Promise.all(Array.from({ length: 100 }, () => isCharged(it, debitOf({ bucket: ten }))))
      t.equal(passed.filter(Boolean).length, 10)
    })

    t.test('a clock a little back refills nothing', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      it.clock.us -= CLOCK_STEP_US
      t.notOk(await isCharged(it, debitOf()))
      it.clock.us += CLOCK_STEP_US
      t.notOk(await isCharged(it, debitOf()))
      t.same(await owed(it, debitOf()), [3])
    })

    t.test('a clock an hour back neither refills nor locks', async (t) => {
      const it = await open(t)
      t.ok(await isCharged(it, debitOf({ tokens: 3 })))
      it.clock.us -= 3_600_000_000
      t.notOk(await isCharged(it, debitOf()))
      it.clock.us += TOKEN_US - 1
      t.notOk(await isCharged(it, debitOf()))
      it.clock.us += 1
      t.ok(await isCharged(it, debitOf()))
    })

    t.test('a shadow limit that refuses is not locked by a clock an hour back either', async (t) => {
      const it = await open(t)
      const shadow = debitOf({ group: 1 })
      await it.store.charge([{ ...shadow, cost: 3 * TOKEN }])
      it.clock.us -= 3_600_000_000
      t.notOk(isAdmitted([shadow], await it.store.charge([shadow]), 1))
      it.clock.us += TOKEN_US
      t.ok(isAdmitted([shadow], await it.store.charge([shadow]), 1))
    })

    for (const vector of bucketVectors()) {
      t.test(`golden vector: ${vector.name}`, async (t) => {
        const it = await open(t)
        const from = it.clock.us
        for (const { bucket, at, cost, expected } of vector.steps) {
          it.clock.us = from + at
          const [debt] = await it.store.charge([debitOf({ bucket, cost })])
          t.equal(debt, expected.debt, `debt at ${at}`)
          t.equal(admits(bucket, debt!, cost), expected.admitted, `admitted at ${at}`)
        }
      })
    }
  })
}

/** One call of a random life: when (microseconds after the one before) and what. */
export type Call = { readonly move: number; readonly debits: readonly Debit[] }

/** The rates of random lives, with so many micro-tokens that they drain in 200 seconds, far longer than a test runs. */
const LIVES = [
  { name: 'minute', tokens: 7, seconds: 60 },
  { name: 'second', tokens: 1, seconds: 1 },
  { name: 'fast', tokens: 1000, seconds: 1 },
  { name: 'day', tokens: 10_000, seconds: 86_400 },
].map((life) => ({ ...life, unit: Math.ceil((200_000_000 * life.tokens) / life.seconds) }))
const IDS = ['a', 'b', 'c']

/**
 * Random lives of a few buckets: calls of several debits and groups at changing times. A charge leaves a debt of many
 * seconds, so that a Redis under an injected clock does not expire a key by its own.
 *
 * A `calm` life knows no reload and no clock that steps back. In a `wild` one rates and bursts change and the clock jumps;
 * it begins with a charge of every bucket, for a store may forget a drained one, and then a clock that steps back finds
 * it full.
 */
export function callSequences(kind: 'calm' | 'wild'): fc.Arbitrary<Call[]> {
  const isWild = kind === 'wild'
  const upToToken = fc.integer({ min: 0, max: TOKEN })
  const debit = fc
    .record({
      life: fc.constantFrom(...LIVES),
      id: fc.constantFrom(...IDS),
      speed: isWild ? fc.constantFrom(1, 10) : fc.constant(1),
      size: isWild ? fc.constantFrom(4, 4, 4, 2, 9) : fc.constant(4),
      odd: isWild ? fc.constantFrom(0, 1, 999_999) : fc.constant(1),
      units: fc.constantFrom(1, 1, 1, 2, 3, 5),
      more: upToToken,
      group: fc.constantFrom(0, 0, 0, 1, 2),
      kept: fc.constantFrom(0, 0, 0, 1, 2, -4),
      owed: fc.constantFrom(0, 0, 0, 1, 3),
    })
    .map(({ life: { name, tokens, seconds, unit }, id, speed, size, odd, units, more, group, kept, owed }): Debit => {
      const bucket = { name, capacity: size * unit + odd, tokens: tokens * speed, seconds }
      const [reserve, floor] = [kept * unit, owed * unit]
      return { bucket, id, tag: 'network', cost: units * unit + more, group, reserve, floor }
    })
  const debits = fc.uniqueArray(debit, {
    minLength: 1,
    maxLength: 6,
    selector: ({ bucket, id }) => `${bucket.name}:${id}`,
  })
  const forward = fc.oneof(fc.constantFrom(0, 1), upToToken, fc.integer({ min: 0, max: 400_000_000 }))
  const back = fc.oneof(
    fc.integer({ min: -1_100_000, max: 0 }),
    fc.constantFrom(-CLOCK_STEP_US, -CLOCK_STEP_US - 1, -3_600_000_000),
  )
  const move = isWild ? fc.oneof({ weight: 3, arbitrary: forward }, { weight: 1, arbitrary: back }) : forward
  const calls = fc.array(fc.record({ move, debits }), { minLength: 5, maxLength: 40 })
  return isWild ? calls.map((rest) => [{ move: 0, debits: everyBucket() }, ...rest]) : calls
}

function everyBucket(): Debit[] {
  return LIVES.flatMap(({ name, tokens, seconds, unit }) =>
    IDS.map((id) => ({
      bucket: { name, capacity: 4 * unit, tokens, seconds },
      id,
      tag: 'network',
      cost: unit,
      group: 0,
      reserve: 0,
      floor: 0,
    })),
  )
}

/** What a store answers to a life of calls; they are sent at once where it is far away. */
export function replay({ store, clock }: StoreUnderTest, calls: readonly Call[]): Promise<(readonly number[])[]> {
  const answers = calls.map(({ move, debits }) => {
    clock.us += move
    return store.charge(debits)
  })
  return Promise.all(answers)
}
