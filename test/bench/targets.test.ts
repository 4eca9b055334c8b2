import t from 'tap'
import { NGINX } from '../../bench/contenders/nginx.ts'
import { NODE } from '../../bench/contenders/node.ts'
import { SLUICE, sluiceOf } from '../../bench/contenders/sluice.ts'
import { spreadOf } from '../../bench/load/spread.ts'
import { optionsOf } from '../../bench/options.ts'
import { markdownOf } from '../../bench/report.ts'
import { holds, type Results, targetsOf } from '../../bench/targets.ts'

const NOTHING: Results = {
  requests: [],
  decisions: null,
  deviceMemory: null,
  processMemory: null,
  churn: null,
  latency: null,
}

function throughput(name: string, perCpuSecond: number, redisUs: number | null = null): Results['requests'][number] {
  const contender = [...SLUICE, ...NGINX, ...NODE].find((one) => one.name === name)!
  const spread = spreadOf([perCpuSecond])
  return {
    contender,
    perCpuSecond: spread,
    perSecond: spread,
    rounds: [perCpuSecond],
    redisUs: redisUs === null ? null : spreadOf([redisUs]),
    errors: 0,
  }
}

t.test('the median lies between the least and the most', async (t) => {
  t.same(spreadOf([5, 1, 2]), { median: 2, least: 1, most: 5 })
  t.same(spreadOf([4, 1, 2, 9]), { median: 3, least: 1, most: 9 })
})

t.test('a target is a ratio of Sluice to a peer, and what was not measured neither holds nor shows', async (t) => {
  const results = {
    ...NOTHING,
    requests: [throughput('sluice', 30_000), throughput('express', 5000), throughput('constant', 70_000)],
  }
  const reached = targetsOf(results).filter((target) => target.reached !== null)
  t.same(
    reached.map((target) => [target.against.split(' ')[0], target.reached, holds(target)]),
    [
      ['Express', 6, true],
      ['a', 3 / 7, false],
    ],
  )
  t.notOk(targetsOf(NOTHING).some(holds))
  const text = markdownOf(results)
  t.match(text, '>= 6.00 x | 6.00 x | holds')
  t.match(text, '>= 0.50 x | 0.43 x | **missed**')
  t.notMatch(text, 'limit_req')
})

t.test('a cost is better the smaller it is', async (t) => {
  const requests = [
    throughput('sluice-5-limits', 24_000),
    throughput('sluice-1000-limits', 20_000),
    throughput('sluice-redis-hot', 1, 0.4),
    throughput('nginx-lua-redis-hot', 1, 9),
  ]
  const targets = targetsOf({ ...NOTHING, requests, decisions: { hot: 1.9e6, hotMembers: 0, distinct: 7e5 } })
  t.same(
    targets.filter(({ reached }) => reached !== null).map((target) => [target.reached, holds(target)]),
    [
      [0.4 / 9, true],
      [1.9e6, false],
      [7e5, true],
      [1.2, true],
    ],
  )
})

t.test('two builds are compared within each round, and the other one counts for no target', async (t) => {
  const now = { ...throughput('sluice', 30_000), rounds: [30_000, 10_000, 20_000] }
  const [other] = sluiceOf('.', [now.contender])
  const before = { ...now, contender: other!, rounds: [30_000, 20_000, 10_000] }
  t.equal(other!.name, 'sluice@before')
  t.match(markdownOf({ ...NOTHING, requests: [now, before] }), '| Sluice, memory | sluice | 1.000 x (0.500 to 2.000) |')
  t.notMatch(markdownOf({ ...NOTHING, requests: [now] }), 'this build to the other')
})

t.test('another build has to be there, and built', async (t) => {
  const folder = t.testdir({})
  t.match(optionsOf(['--against', folder], []), /has no dist\/main\.js; give the folder of a checkout/)
  t.match(optionsOf(['--against', '.'], []), { against: '.' })
})
