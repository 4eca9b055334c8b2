import fc from 'fast-check'
import t from 'tap'
import { mostAbove } from '../../bench/chaos/bound.ts'
import { FAULTS } from '../../bench/chaos/faults.ts'
import { optionsOf } from '../../bench/chaos/options.ts'
import { missesOf, tableOf } from '../../bench/chaos/report.ts'
import { run } from '../../bench/chaos/run.ts'

for (const name of ['stopped', 'scripts-flushed']) {
  t.test(`${name}: two proxies under load keep every promise`, async (t) => {
    const fault = FAULTS.find((one) => one.name === name)!
    const result = await run(fault, { seconds: 2, timeout: 100 })
    t.ok(result.requests > 100, `${result.requests} requests`)
    t.ok(result.above > 0)
    for (const { what, holds } of result.promises) t.not(holds, false, what)
  })
}

t.test('the most above a rate is that of the worst of all windows', async () => {
  const gaps = fc.array(fc.nat(300), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 50 }), (gaps, rate) => {
      let ms = 0
      const times = gaps.map((gap) => {
        ms += gap
        return ms
      })
      let most = 0
      for (let from = 0; from < times.length; from++) {
        for (let to = from; to < times.length; to++) {
          most = Math.max(most, to - from + 1 - (rate * (times[to]! - times[from]!)) / 1000)
        }
      }
      return Math.abs(mostAbove(times, rate) - most) < 1e-9
    }),
  )
})

t.test('a broken promise is told, and one that cannot be told is no broken one', async (t) => {
  const row = (name: string, holds: boolean | null) => ({
    name,
    cells: { requests: '7' },
    promises: [{ what: 'it holds', holds }],
  })
  const rows = [row('a', true), row('b', false), row('c', null)]
  t.equal(
    tableOf('fault', rows),
    '| fault | requests | promises |\n| --- | --- | --- |\n| a | 7 | hold |\n| b | 7 | broken |\n| c | 7 | hold, 1 untold |\n',
  )
  t.equal(missesOf(rows), '- b: it holds: broken\n- c: it holds: cannot be told on this machine\n')
})

t.test('wrong arguments are told', async (t) => {
  t.match(optionsOf(['--fault', 'earthquake']), /^'earthquake' is not a fault; write one of killed /)
  t.match(optionsOf(['--seconds', '0']), /^'0' is not a time/)
  t.match(optionsOf(['--timeout', '1s']), /^'1s' is not a timeout/)
  t.match(optionsOf(['--what']), /Unknown option/)
  t.match(optionsOf([]), { seconds: 5, timeout: 20, isSaturating: false, faults: { length: FAULTS.length } })
})
