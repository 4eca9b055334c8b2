import t from 'tap'
import { createThirdParty } from '../../src/demo/third-party.ts'
import { createManualTimers } from './manual-timers.ts'

const integration = { partner: 'acme', payload: null }
const { signal } = new AbortController()

t.test('it is as slow as it was told to be', async (t) => {
  const { timers, thirdParty } = create()
  const call = thirdParty.call('a', integration, signal)
  t.same(timers.pending(), [1500])
  t.equal(thirdParty.actions(), 0)
  await timers.advance(1500)
  t.same(await call, { kind: 'succeeded', result: { reference: 'acme-1', acted_at: '2026-01-01T00:00:01.500Z' } })
})

t.test('it acts once for a key, however often and however many at once ask', async (t) => {
  const { timers, thirdParty } = create()
  const calls = Array.from({ length: 20 }, () => thirdParty.call('a', integration, new AbortController().signal))
  await timers.advance(1500)
  const later = thirdParty.call('a', integration, signal)
  await timers.advance(1500)
  const outcomes = await Promise.all([...calls, later])
  for (const outcome of outcomes) t.same(outcome, outcomes[0])
  t.equal(thirdParty.actions(), 1)
})

t.test('half of its failures come before it acted, half after', async (t) => {
  const { timers, thirdParty } = create([0.05, 0.15, 0.2])
  const call = async () => {
    const outcome = thirdParty.call('a', integration, signal)
    await timers.advance(1500)
    return outcome
  }
  t.match(await call(), { kind: 'failed', error: /503/ })
  t.equal(thirdParty.actions(), 0)
  t.match(await call(), { kind: 'failed', error: /without an answer/ })
  t.equal(thirdParty.actions(), 1)
  t.match(
    await call(),
    { kind: 'succeeded', result: { acted_at: '2026-01-01T00:00:03.000Z' } },
    'it acted the second time',
  )
  t.equal(thirdParty.actions(), 1)
})

t.test('a caller that hangs up leaves no timer', async (t) => {
  const { timers, thirdParty } = create()
  const controller = new AbortController()
  const call = thirdParty.call('a', integration, controller.signal)
  controller.abort()
  t.same(await call, { kind: 'aborted' })
  t.same(timers.pending(), [])
  t.equal(thirdParty.actions(), 0)
})

t.test('it forgets the oldest keys', async (t) => {
  const { timers, thirdParty } = create([], 2)
  for (const key of ['a', 'b', 'c', 'c', 'b', 'a']) {
    const call = thirdParty.call(key, integration, signal)
    await timers.advance(1500)
    await call
  }
  t.equal(thirdParty.actions(), 4)
})

function create(chances: number[] = [], maxKeys = 100) {
  const timers = createManualTimers()
  const random = () => chances.shift() ?? 0.99
  return { timers, thirdParty: createThirdParty({ delayMs: 1500, failureRate: 0.2, random, timers, maxKeys }) }
}
