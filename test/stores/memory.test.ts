import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { createBucket } from '../../src/limiter/plan.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'
import { debitOf, isAdmitted, storeContract, T0 } from '../contracts/store.ts'

function open(t: Test, maxBuckets = 1_000_000) {
  const clock = { us: T0 }
  const store = createMemoryStore({ maxBuckets, clock: { nowUs: () => clock.us } })
  t.teardown(() => store.close())
  const isCharged = (...debits: ReturnType<typeof debitOf>[]) => isAdmitted(debits, store.charge(debits))
  return { store, clock, isCharged }
}

storeContract(t, 'the memory store', async (t) => open(t))

const second = createBucket('second', { tokens: 1, seconds: 1 }, 10)
/** The most shared buckets that one bucket name may have beside `maxBuckets`. */
const FOLDS = 4096

t.test('all charges of a request settle at the instant that they are told', async (t) => {
  const { store, clock } = open(t)
  const debit = debitOf({ bucket: second, id: 'a', tokens: 10 })
  t.same(store.charge([debit], T0), [0])
  clock.us = T0 + 5_000_000
  t.same(store.charge([debit], T0 + 1_000_000), [9_000_000])
  t.same(store.charge([debit]), [5_000_000])
})

t.test('drained buckets disappear as new ones come', async (t) => {
  const { store, clock } = open(t)
  for (let i = 0; i < 1000; i++) store.charge([debitOf({ bucket: second, id: `old-${i}` })])
  t.equal(store.size(), 1000)
  clock.us += 1_000_000
  for (let i = 0; i < 500; i++) store.charge([debitOf({ bucket: second, id: `new-${i}` })])
  t.equal(store.size(), 500)
})

t.test('buckets in debt do not disappear as new ones come', async (t) => {
  const { store, clock, isCharged } = open(t)
  store.charge([debitOf({ bucket: second, id: 'offender', tokens: 10 })])
  clock.us += 999_999
  for (let i = 0; i < 5000; i++) store.charge([debitOf({ bucket: second, id: `new-${i}` })])
  t.notOk(isCharged(debitOf({ bucket: second, id: 'offender' })))
})

t.test('drained buckets of one limit make room for those of another', async (t) => {
  const { store, clock } = open(t, 100)
  for (let i = 0; i < 100; i++) store.charge([debitOf({ bucket: second, id: `old-${i}` })])
  clock.us += 1_000_000
  for (let i = 0; i < 100; i++) store.charge([debitOf({ id: `new-${i}` })])
  t.equal(store.size(), 100)
  t.equal(store.folds(), 0)
})

t.test('the few that have drained are found soon where all the others are in debt', async (t) => {
  const { store, clock } = open(t, 1000)
  for (let i = 0; i < 900; i++) store.charge([debitOf({ id: `indebted-${i}`, tokens: 3 })])
  for (let i = 0; i < 100; i++) store.charge([debitOf({ bucket: second, id: `drained-${i}` })])
  clock.us += 1_000_000
  for (let i = 0; i < 100; i++) store.charge([debitOf({ id: `new-${i}`, tag: `network-${i}` })])
  t.ok(store.folds() <= 15, `${store.folds()} folds`)
})

t.test('a refused client leaves nothing behind', async (t) => {
  const { store, isCharged } = open(t)
  t.ok(isCharged(debitOf({ id: 'shared', tokens: 3 })))
  for (let i = 0; i < 100; i++) t.notOk(isCharged(debitOf({ id: `new-${i}` }), debitOf({ id: 'shared' })))
  t.equal(store.size(), 1)
})

t.test('max_buckets bounds the store: beyond it only shared buckets come, one for each network', async (t) => {
  const { store } = open(t, 1000)
  for (let i = 0; i < 100_000; i++) store.charge([debitOf({ id: `id-${i}`, tag: `network-${i % 10}` })])
  t.ok(store.size() >= 1000 && store.size() <= 1010, `${store.size()} buckets`)
})

t.test('the shared buckets are bounded too, however many networks there are', async (t) => {
  const { store } = open(t, 1000)
  for (let i = 0; i < 100_000; i++) store.charge([debitOf({ id: `id-${i}`, tag: `network-${i}` })])
  t.ok(store.size() <= 1000 + FOLDS, `${store.size()} buckets`)
})

t.test('an offender stays refused after ten times max_buckets newcomers', async (t) => {
  const { store, isCharged } = open(t, 1000)
  t.ok(isCharged(debitOf({ id: 'offender', tokens: 3 })))
  for (let i = 0; i < 10_000; i++) store.charge([debitOf({ id: `id-${i}`, tag: `network-${i}` })])
  t.notOk(isCharged(debitOf({ id: 'offender' })))
})

t.test('a new id that finds no room shares a bucket with its network, and is counted', async (t) => {
  const { store, isCharged } = open(t, 10)
  for (let i = 0; i < 10; i++) t.ok(isCharged(debitOf({ id: `resident-${i}`, tokens: 3 })))
  t.equal(store.folds(), 0)
  t.ok(isCharged(debitOf({ id: 'x', tag: 'one' })))
  t.equal(store.folds(), 1)
  t.ok(isCharged(debitOf({ id: 'y', tag: 'one' })))
  t.ok(isCharged(debitOf({ id: 'z', tag: 'one' })))
  t.notOk(isCharged(debitOf({ id: 'w', tag: 'one' })))
  t.equal(store.folds(), 3, 'a refused one is charged to none')
  t.ok(isCharged(debitOf({ id: 'w', tag: 'two' })), 'another network has a bucket of its own')
})

t.test('folding is no escape: all the new ids of a network together get one bucket', async (t) => {
  const { clock, isCharged } = open(t, 10)
  for (let i = 0; i < 10; i++)
    t.ok(isCharged(debitOf({ id: `resident-${i}`, bucket: createBucket('long', { tokens: 1, seconds: 86_400 }, 9) })))
  let passed = 0
  for (let i = 0; i < 10_000; i++) if (isCharged(debitOf({ id: `id-${i}` }))) passed++
  t.equal(passed, 3)
  clock.us += 10_000_000
  for (let i = 0; i < 10_000; i++) if (isCharged(debitOf({ id: `again-${i}` }))) passed++
  t.equal(passed, 4)
})

t.test('who gets a bucket of its own after sharing one brings the debt along', async (t) => {
  const { clock, isCharged } = open(t, 2)
  const resident = createBucket('short', { tokens: 1, seconds: 1 }, 3)
  const slow = createBucket('slow', { tokens: 1, seconds: 86_400 }, 3)
  for (const id of ['a', 'b']) t.ok(isCharged(debitOf({ id, bucket: resident })))
  for (let i = 0; i < 3; i++) t.ok(isCharged(debitOf({ id: 'late', bucket: slow })))
  t.notOk(isCharged(debitOf({ id: 'late', bucket: slow })))
  clock.us += 2_000_000
  t.notOk(isCharged(debitOf({ id: 'late', bucket: slow })), 'room is no fresh start')
})

t.test('a resident goes on with its own bucket while others fold', async (t) => {
  const { isCharged } = open(t, 2)
  t.ok(isCharged(debitOf({ id: 'a' })))
  t.ok(isCharged(debitOf({ id: 'b' })))
  t.ok(isCharged(debitOf({ id: 'c', tokens: 3 })))
  t.ok(isCharged(debitOf({ id: 'a', tokens: 2 })))
  t.notOk(isCharged(debitOf({ id: 'a' })))
})

t.test('there is room again once debts have drained', async (t) => {
  const { store, clock, isCharged } = open(t, 10)
  for (let i = 0; i < 100; i++) isCharged(debitOf({ bucket: second, id: `id-${i}` }))
  const folds = store.folds()
  clock.us += 10_000_000
  for (let i = 0; i < 10; i++) t.ok(isCharged(debitOf({ bucket: second, id: `new-${i}`, tokens: 10 })))
  t.equal(store.folds(), folds)
})

t.test('a lowered rate keeps a bucket from being forgotten, by the rate that is now in force', async (t) => {
  const { store, clock, isCharged } = open(t)
  t.ok(isCharged(debitOf({ bucket: second, id: 'offender', tokens: 10 })))
  const slower = { ...second, seconds: 60 }
  store.charge([debitOf({ bucket: slower, id: 'other' })])
  clock.us += 10_000_000
  for (let i = 0; i < 100; i++) store.charge([debitOf({ bucket: slower, id: `new-${i}` })])
  t.notOk(isCharged(debitOf({ bucket: slower, id: 'offender' })))
})

t.test('random ids of one network leave the store no larger after 500,000 than after 100,000', async (t) => {
  const { store, clock } = open(t, 20_000)
  let id = 0
  const flood = (count: number) => {
    for (let i = 0; i < count; i++) {
      clock.us += 10
      store.charge([debitOf({ bucket: second, id: `random-${id++}` })])
    }
    return bytesInUse()
  }
  const before = flood(100_000)
  const after = flood(400_000)
  t.ok(store.size() <= 20_001, `${store.size()} buckets`)
  t.ok(after - before < 2.5e6, `${after - before} bytes more`)
})

t.test('a bucket takes few bytes in process', async (t) => {
  const before = bytesInUse()
  const { store } = open(t)
  for (let i = 0; i < 200_000; i++) store.charge([debitOf({ id: randomBytes(16).toString('base64url') })])
  const bytes = (bytesInUse() - before) / store.size()
  t.comment(`${Math.round(bytes)} bytes a bucket, its id of 22 characters included`)
  t.ok(bytes < 250)
})

function bytesInUse(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
