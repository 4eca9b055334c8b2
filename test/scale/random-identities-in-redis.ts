import t from 'tap'
import { holdInRedis } from '../fixtures/random-identities.ts'

t.test('the 10^6th random identity of one address finds the tables in Redis as the 10^5th did', (t) =>
  holdInRedis(t, { early: 100_000, late: 1_000_000 }),
)
