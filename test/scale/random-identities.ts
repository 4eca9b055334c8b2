import t from 'tap'
import { holdInProcess } from '../fixtures/random-identities.ts'

t.test('the 10^6th random identity of one address finds the tables in process as the 10^5th did', (t) =>
  holdInProcess(t, { early: 100_000, late: 1_000_000 }),
)
