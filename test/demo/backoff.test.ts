import t from 'tap'
import { backoffMs } from '../../src/demo/backoff.ts'

t.test('the wait doubles with each attempt, up to a minute', async (t) => {
  const whole = [1, 2, 3, 4, 5, 6, 7, 8, 50].map((attempt) => backoffMs(attempt, () => 1))
  t.same(whole, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
})

t.test('chance takes away up to half', async (t) => {
  t.equal(
    backoffMs(3, () => 0),
    2000,
  )
  t.equal(
    backoffMs(3, () => 0.5),
    3000,
  )
})
