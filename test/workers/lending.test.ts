import t from 'tap'
import { TOKEN } from '../../src/limiter/bucket.ts'
import { createBucket } from '../../src/limiter/plan.ts'
import { createLending } from '../../src/workers/lending.ts'
import { debitOf } from '../contracts/store.ts'
import { manualClock } from '../fixtures/app.ts'

const slow = createBucket('slow', { tokens: 1, seconds: 1 }, 100)
const lease = debitOf({ bucket: slow, lease: 20 * TOKEN })

function start() {
  const clock = manualClock()
  const lending = createLending({ maxBuckets: 1000, clock })
  /** Tokens that the bucket owes; a look that is refused changes nothing. */
  const owed = () => lending.store.charge([{ ...lease, cost: slow.capacity + 1, lease: 0 }])[0]! / TOKEN
  return { clock, owed, loans: lending.open(), lending }
}

t.test('the lease of a worker that dies goes back, less what the bucket has refilled', async (t) => {
  const { clock, loans, owed } = start()
  t.same(loans.charge([[lease]], []), [[0]])
  t.equal(owed(), 21, 'one for the request, twenty on loan')
  clock.advance(100)
  loans.end()
  t.equal(owed(), 1 - 0.1 + 0.1, 'what it refilled of the loan it refilled as if that were spent')
})

t.test('what was spent of it does not', async (t) => {
  const { loans, owed } = start()
  loans.charge([[lease]], [])
  loans.charge([], [['slow', 'device', 5 * TOKEN]])
  loans.charge([], [['slow', 'device', 3 * TOKEN]])
  loans.charge([], [['slow', 'device', -1 * TOKEN]])
  loans.end()
  t.equal(owed(), 1 + 7)
})

t.test('nor what it gave back itself, nor anything twice', async (t) => {
  const { loans, owed } = start()
  loans.charge([[lease]], [])
  loans.charge([[debitOf({ bucket: slow, tokens: -20 })]], [])
  loans.end()
  t.equal(owed(), 1)
  loans.end()
  t.equal(owed(), 1)
})

t.test('a lease that was refused, or another worker’s, is not its own', async (t) => {
  const { loans, lending, owed } = start()
  loans.charge([[lease, debitOf({ id: 'full', tokens: 4 })]], [])
  lending.open().charge([[lease]], [])
  loans.end()
  t.equal(owed(), 21)
})

t.test('a lease that has ended long ago is forgotten', async (t) => {
  const { clock, loans, owed } = start()
  loans.charge([[lease]], [])
  clock.advance(2000)
  loans.charge([[debitOf({ id: 'another' })]], [])
  loans.end()
  t.equal(owed(), 19)
})
