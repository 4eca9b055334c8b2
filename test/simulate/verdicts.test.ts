import t from 'tap'
import { boundOf } from '../../bench/simulate/bounds.ts'
import { optionsOf } from '../../bench/simulate/options.ts'
import type { RunResult } from '../../bench/simulate/run.ts'
import { TIMES } from '../../bench/simulate/schedule.ts'
import { STRATEGIES } from '../../bench/simulate/strategies.ts'
import { createTally, LIMITERS } from '../../bench/simulate/tally.ts'
import { verdictsOf } from '../../bench/simulate/verdicts.ts'
import { SMALL_SIZES } from './small-run.ts'

t.test('the bounds of 400 seconds are those of the formulas', async (t) => {
  t.equal(boundOf('S1', TIMES)?.requests, 30 + 400)
  t.equal(boundOf('S4', TIMES)?.requests, 60 + 5 * 400)
  t.equal(boundOf('S6', TIMES)?.requests, 4 * 2060)
  t.equal(boundOf('S9', TIMES, 500)?.requests, 60 + 15 * 400)
  t.equal(boundOf('S8', TIMES), null)
  // All cookies aged and all 512 admitted: pools of 60 and 90 + 1.5 * 512 tokens, and 400 s of 15 + 0.27 * 512 a second.
  t.equal(Math.round(boundOf('S13', TIMES)!.requests), Math.round(60 + 858 + 400 * (15 + 0.27 * 512)))
  // Fresh cookies, of which for a minute 128 are members and another 64 by its end; then all that there is room for.
  const inFirstMinute = 60 * 128 + (64 / 60) * ((60 * 61) / 2)
  const admitted = 60 + 474 + 400 * 15 + 0.145 * (inFirstMinute + 340 * 512)
  t.equal(Math.round(boundOf('S5', TIMES)!.requests), Math.round(admitted))
  t.ok(admitted < 60 + 474 + 400 * (15 + 0.145 * 512))
})

t.test('a target is missed by the request too many, and where nobody could show that it holds', async (t) => {
  const passing = (passed: number): RunResult => {
    const tally = createTally()
    const answer = (isPassed: boolean) => LIMITERS.map(() => isPassed)
    for (let i = 0; i < 40_000; i++) tally.count('S1', answer(i < passed))
    for (let i = 0; i < 100; i++) tally.count('honest', answer(i < 99))
    return { seed: 1, state: 'returning', sizes: SMALL_SIZES, times: TIMES, tally, requests: 0, cpuSeconds: 0 }
  }
  const verdicts = (passed: number) => verdictsOf(passing(passed), STRATEGIES[0]!).map(({ holds }) => holds)
  t.same(verdicts(431), [true, true, false])
  t.same(verdicts(432), [false, true, false])
})

t.test('arguments that ask for what there is not are told so', async (t) => {
  t.match(optionsOf(['--strategy', 'S99']), /^'S99' is not a strategy; write one of S1 S2 /)
  t.match(optionsOf(['--state', 'warm']), /^'warm' is not a state; write one of cold returning restart/)
  t.match(optionsOf(['--seed', 'x']), /^'x' is not a seed/)
  t.type(optionsOf(['--sed', '5']), 'string')
  t.match(optionsOf(['--seed', '7', '--strategy', 'S2', '--json']), { seed: 7, isJson: true, isWritten: false })
})
