import t from 'tap'
import { createLogClock } from '../../src/replay/log-clock.ts'

t.test('the clock of a log never steps back, and goes on after it did', async (t) => {
  const clock = createLogClock(1_000_000_000)
  const at = (us: number) => {
    clock.moveTo(us)
    return clock.nowUs()
  }
  t.equal(at(1_005_000_000), 5_000_000)
  t.equal(at(1_003_000_000), 5_000_000, 'lines change places')
  t.equal(at(1_006_000_000), 6_000_000)
  t.equal(clock.stepsBack(), 0)
  t.equal(at(9_000_000_000), 8_000_000_000, 'a line from the future')
  t.equal(at(1_007_000_000), 8_000_000_000, 'neither locks')
  t.equal(at(1_008_000_000), 8_001_000_000, 'nor is the time lost')
  t.equal(clock.stepsBack(), 1)
})
