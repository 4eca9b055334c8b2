import t from 'tap'
import { createMemoryJobRecords } from '../../src/demo/job-records.ts'
import { createJobs } from '../../src/demo/jobs.ts'
import { createMemoryQueue } from '../../src/demo/queue/memory.ts'
import type { Queue } from '../../src/demo/queue/queue.ts'
import { createManualTimers } from './manual-timers.ts'

const integration = { partner: 'acme', payload: [1] }

t.test('a job is recorded before it can be reserved', async (t) => {
  const { jobs, records, queue } = create()
  const waiting = queue.reserve(new AbortController().signal)
  const submitted = jobs.submit(integration, 'a')
  const message = (await waiting)?.message
  t.match(await records.get('a'), { state: 'queued' })
  t.same(message, { id: 'a', body: '{"partner":"acme","payload":[1]}' })
  t.match(await submitted, { id: 'a', state: 'queued' })
})

t.test('a full queue leaves no record behind', async (t) => {
  const { jobs, records } = create({ put: async () => 'full' })
  t.equal(await jobs.submit(integration, 'a'), undefined)
  t.equal(await records.get('a'), undefined)
})

t.test('a queue that is away leaves no record behind, and its error is told', async (t) => {
  const { jobs, records } = create({
    put: async () => {
      throw new Error('away')
    },
  })
  await t.rejects(jobs.submit(integration, 'a'), /away/)
  t.equal(await records.get('a'), undefined)
})

function create(broken: Partial<Queue> = {}) {
  const timers = createManualTimers()
  const queue = { ...createMemoryQueue({ maxMessages: 10, leaseMs: 1000, timers }), ...broken }
  const records = createMemoryJobRecords({ maxJobs: 10 })
  return { queue, records, jobs: createJobs({ queue, records, timers }) }
}
