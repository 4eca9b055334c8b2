import t from 'tap'
import { deadJob, doneJob, queuedJob, runningJob } from '../../src/demo/job.ts'
import { createMemoryJobRecords } from '../../src/demo/job-records.ts'

const result = { reference: 'acme-1', acted_at: '2026-01-01T00:00:00.000Z' }
const job = (id: string) => queuedJob(id, 'acme', 5, 0)

t.test('a job is kept as it was saved last', async (t) => {
  const records = createMemoryJobRecords({ maxJobs: 10 })
  await records.save(job('a'))
  await records.save(runningJob(job('a'), 1, 5))
  t.match(await records.get('a'), { state: 'running', attempts: 1, updated_at: '1970-01-01T00:00:00.005Z' })
  await records.remove('a')
  t.equal(await records.get('a'), undefined)
})

t.test('pages show the newest first', async (t) => {
  const records = createMemoryJobRecords({ maxJobs: 10 })
  for (const id of ['a', 'b', 'c']) await records.save(job(id))
  await records.save(doneJob(job('a'), result, 0))
  const { total, entries } = await records.page({ page: 1, perPage: 2 })
  t.equal(total, 3)
  t.same(
    entries.map(({ id }) => id),
    ['c', 'b'],
  )
  const second = await records.page({ page: 2, perPage: 2 })
  t.same(
    second.entries.map(({ id }) => id),
    ['a'],
  )
})

t.test('above the bound the job that finished first is dropped, never one that has not finished', async (t) => {
  const records = createMemoryJobRecords({ maxJobs: 3 })
  for (const id of ['a', 'b', 'c']) await records.save(job(id))
  await records.save(deadJob(job('b'), 'x', 0))
  await records.save(doneJob(job('a'), result, 0))
  await records.save(job('d'))
  t.equal(await records.get('b'), undefined)
  await records.save(job('e'))
  t.equal(await records.get('a'), undefined)
  await records.save(job('f'))
  const { entries } = await records.page({ page: 1, perPage: 10 })
  t.same(
    entries.map(({ id }) => id),
    ['f', 'e', 'd', 'c'],
  )
})

t.test('ten thousand finished jobs fit in the bound', async (t) => {
  const records = createMemoryJobRecords({ maxJobs: 1000 })
  for (let n = 0; n < 10_000; n++) await records.save(doneJob(job(String(n)), result, 0))
  t.equal((await records.page({ page: 1, perPage: 1 })).total, 1000)
})
