import t from 'tap'
import { createMemoryQueue } from '../../../src/demo/queue/memory.ts'
import { queueContract } from '../../contracts/queue.ts'
import { createManualTimers } from '../manual-timers.ts'

queueContract('the queue in process', async (t, bounds) => {
  const timers = createManualTimers()
  const queue = createMemoryQueue({ ...bounds, timers })
  t.teardown(() => queue.close())
  return { queue, advance: timers.advance }
})

t.test('messages are handed out in the order of arrival', async (t) => {
  const queue = createMemoryQueue({ maxMessages: 10, leaseMs: 1000, timers: createManualTimers() })
  for (const id of ['a', 'b', 'c']) await queue.put({ id, body: '' })
  const { signal } = new AbortController()
  for (const id of ['a', 'b', 'c']) t.equal((await queue.reserve(signal))?.message.id, id)
})

t.test('buried messages are bounded', async (t) => {
  const queue = createMemoryQueue({ maxMessages: 3, leaseMs: 1000, timers: createManualTimers() })
  const { signal } = new AbortController()
  for (let n = 0; n < 10; n++) {
    await queue.put({ id: String(n), body: '' })
    await (await queue.reserve(signal))?.bury()
  }
  t.equal((await queue.depth()).buried, 3)
})

t.test('closing leaves no timer, and takes nothing more', async (t) => {
  const timers = createManualTimers()
  const queue = createMemoryQueue({ maxMessages: 10, leaseMs: 1000, timers })
  const { signal } = new AbortController()
  await queue.put({ id: 'delayed', body: '' })
  await (await queue.reserve(signal))?.retry(5000)
  await queue.put({ id: 'held', body: '' })
  const held = await queue.reserve(signal)
  t.equal(timers.pending().length, 2)
  await queue.close()
  await held?.retry(0)
  t.same(timers.pending(), [])
  t.equal(await queue.reserve(signal), undefined)
  await t.rejects(queue.put({ id: 'late', body: '' }))
})
