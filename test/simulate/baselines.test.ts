import t from 'tap'
import { createBaseline } from '../../bench/simulate/baselines.ts'
import { type Field, headOf, type Message } from '../../bench/simulate/message.ts'

const LIMIT = { rate: 1, burst: 3 }

function message(address: string, ...fields: Field[]): Message {
  return { head: headOf(fields), address, route: 'ingress', jar: null }
}

t.test('a bucket passes its burst, then its rate, and never more than its burst', async (t) => {
  const baseline = createBaseline('ip', LIMIT)
  const admits = (second: number) => baseline.admits(message('192.0.2.1'), second * 1e6)
  t.same([0, 0, 0, 0].map(admits), [true, true, true, false])
  t.same([0.5, 0.99, 1, 1.5].map(admits), [false, false, true, false])
  t.same([100, 100, 100, 100].map(admits), [true, true, true, false])
})

t.test('each baseline has a bucket for what it tells apart', async (t) => {
  const agent = (value: string): Field => ['User-Agent', value]
  const token = (value: string): Field => ['authorization', value]
  const others = [
    message('192.0.2.1', agent('a'), token('x')),
    message('192.0.2.1', agent('a'), token('y')),
    message('192.0.2.1', agent('b'), token('x')),
    message('192.0.2.2', agent('a'), token('x')),
    message('2001:db8:1:2::1', agent('a'), token('x')),
    message('2001:db8:1:2::2', agent('a'), token('x')),
  ]
  const passedWithBurstOne = (name: Parameters<typeof createBaseline>[0]) => {
    const baseline = createBaseline(name, { rate: 1, burst: 1 })
    return others.map((other) => baseline.admits(other, 0))
  }
  t.same(passedWithBurstOne('ip'), [true, false, false, true, true, false])
  t.same(passedWithBurstOne('ua + ip'), [true, false, true, true, true, false])
  t.same(passedWithBurstOne('headers + token + ip'), [true, true, true, true, true, false])
})
