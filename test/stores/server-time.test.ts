import t from 'tap'
import { createServerTime } from '../../src/stores/server-time.ts'

const HOUR = 3_600_000_000

t.test('before the first answer nothing is known', async (t) => {
  t.equal(createServerTime().at(5), 0)
})

t.test('the distance between the clocks is what answers allow', async (t) => {
  const time = createServerTime()
  time.heard(1_000_500, 0, 1000)
  t.equal(time.at(0), 1_000_500, 'never earlier than it may be')
  time.heard(2_000_200, 1_000_000, 1_001_000)
  t.equal(time.at(0), 1_000_200)
})

t.test('an answer that was long under way moves nothing', async (t) => {
  const time = createServerTime()
  time.heard(1_000_500, 0, 1000)
  time.heard(12_000_000, 1_000_000, 11_000_000)
  t.equal(time.at(0), 1_000_500)
})

t.test("a server's clock that was set is followed with the next answer, forward and back", async (t) => {
  const time = createServerTime()
  time.heard(1_000_500, 0, 1000)
  time.heard(HOUR + 1_100_000, 100_000, 101_000)
  t.ok(Math.abs(time.at(0) - HOUR - 1_000_000) <= 1000)
  time.heard(1_200_000, 200_000, 201_000)
  t.ok(Math.abs(time.at(0) - 1_000_000) <= 1000)
})
