import t from 'tap'
import { holdInProcess, holdInRedis } from '../fixtures/random-identities.ts'

/** The same up to 10^6 is test/scale/random-identities*.ts. When first looked at, what is bounded in process is full. */
t.test('random identities from one address leave the tables in process as they are', (t) =>
  holdInProcess(t, { early: 60_000, late: 150_000 }),
)

t.test('and those in Redis', (t) => holdInRedis(t, { early: 20_000, late: 80_000 }))
