import t, { type Test } from 'tap'
import { createMemoryJobRecords, type JobRecords } from '../../src/demo/job-records.ts'
import { createJobs } from '../../src/demo/jobs.ts'
import { createMemoryQueue } from '../../src/demo/queue/memory.ts'
import type { Queue } from '../../src/demo/queue/queue.ts'
import { type CallOutcome, createThirdParty, type SimulatedThirdParty } from '../../src/demo/third-party.ts'
import { createWorker, type Worker } from '../../src/demo/worker.ts'
import { createLog } from '../../src/log.ts'
import { createManualTimers, type ManualTimers } from './manual-timers.ts'

const integration = { partner: 'acme', payload: { n: 1 } }
let ids = 0
const newId = () => `job-${++ids}`
const failed: CallOutcome = { kind: 'failed', error: 'no' }
const acted: CallOutcome = { kind: 'succeeded', result: { reference: 'acme-1', acted_at: '2026-01-01T00:00:00.000Z' } }

t.test('a job goes from queued through running to done', async (t) => {
  const { timers, jobs, records } = setUp(t, { thirdParty: slow })
  const job = (await jobs.submit(integration, newId()))!
  t.match(job, { state: 'queued', attempts: 0, max_attempts: 5, result: null, finished_at: null })
  await timers.advance(0)
  t.match(await records.get(job.id), { state: 'running', attempts: 1, finished_at: null })
  await timers.advance(1500)
  t.match(await records.get(job.id), {
    state: 'done',
    attempts: 1,
    result: { reference: 'acme-1', acted_at: '2026-01-01T00:00:01.500Z' },
    created_at: '2026-01-01T00:00:00.000Z',
    finished_at: '2026-01-01T00:00:01.500Z',
    last_error: null,
  })
})

t.test('a failed attempt is tried again after its wait, and the error is kept', async (t) => {
  const { timers, jobs, records, queue } = setUp(t, { thirdParty: () => scripted([failed, failed, acted]) })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(0)
  t.match(await records.get(id), { state: 'failed', attempts: 1, last_error: 'no' })
  t.match(await records.get(id), { next_attempt_at: '2026-01-01T00:00:00.750Z' })
  await timers.advance(749)
  t.match(await records.get(id), { attempts: 1 })
  await timers.advance(1)
  t.match(await records.get(id), { state: 'failed', attempts: 2, next_attempt_at: '2026-01-01T00:00:02.250Z' })
  await timers.advance(1500)
  t.match(await records.get(id), { state: 'done', attempts: 3, last_error: 'no', next_attempt_at: null })
  t.same(await queue.depth(), { ready: 0, delayed: 0, reserved: 0, buried: 0 })
})

t.test('after five attempts the job is dead and its message buried', async (t) => {
  const thirdParty = scripted(Array.from({ length: 9 }, () => failed))
  const { timers, jobs, records, queue, logged } = setUp(t, { thirdParty: () => thirdParty })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(600_000)
  t.match(await records.get(id), { state: 'dead', attempts: 5, last_error: 'no', next_attempt_at: null, result: null })
  t.not((await records.get(id))?.finished_at, null)
  t.equal(thirdParty.calls(), 5)
  t.same(await queue.depth(), { ready: 0, delayed: 0, reserved: 0, buried: 1 })
  t.match(logged.join(''), /a job is dead/)
})

t.test('the third party acts once for a job that is tried again after a lost answer', async (t) => {
  const chances = [0.15, 0.15, 0.9]
  const create = (timers: ManualTimers) => {
    const random = () => chances.shift() ?? 0.9
    return createThirdParty({ delayMs: 100, failureRate: 0.2, random, timers, maxKeys: 10 })
  }
  const { timers, jobs, records, thirdParty } = setUp(t, { thirdParty: create })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(60_000)
  t.match(await records.get(id), { state: 'done', attempts: 3, result: { acted_at: '2026-01-01T00:00:00.100Z' } })
  t.equal(thirdParty.actions(), 1)
})

t.test('a message that comes twice is not done twice', async (t) => {
  const thirdParty = scripted([acted, acted])
  const { timers, jobs, records, queue } = setUp(t, { thirdParty: () => thirdParty })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(0)
  await queue.put({ id, body: JSON.stringify(integration) })
  await timers.advance(0)
  t.equal(thirdParty.calls(), 1)
  t.match(await records.get(id), { state: 'done', attempts: 1 })
  t.match(await queue.depth(), { ready: 0, reserved: 0, buried: 0 })
})

t.test('a job whose record is lost is done, and has a record again', async (t) => {
  const { timers, records, queue } = setUp(t, { thirdParty: () => scripted([acted]) })
  await queue.put({ id: 'a', body: JSON.stringify(integration) })
  await timers.advance(0)
  t.match(await records.get('a'), { state: 'done', partner: 'acme', attempts: 1 })
})

t.test('a message that cannot be read is buried, and the next is done', async (t) => {
  const { timers, records, queue } = setUp(t, { thirdParty: () => scripted([acted]) })
  for (const body of ['{', 'null', '[]', '{"partner":1}']) await queue.put({ id: 'bad', body })
  await queue.put({ id: 'good', body: JSON.stringify(integration) })
  await timers.advance(0)
  t.equal((await queue.depth()).buried, 4)
  t.match(await records.get('good'), { state: 'done' })
})

t.test('a third party that does not answer is not waited for beyond the call timeout', async (t) => {
  const { timers, jobs, records } = setUp(t, { thirdParty: (timers) => createSlow(timers, 1_000_000) })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(25_000)
  t.match(await records.get(id), { state: 'failed', attempts: 1, last_error: /did not answer within 25000 ms/ })
})

t.test('a job that kills its worker each time ends dead', async (t) => {
  const { timers, records, queue, worker } = setUp(t, { thirdParty: () => scripted([acted]), start: false })
  await queue.put({ id: 'poison', body: JSON.stringify(integration) })
  const { signal } = new AbortController()
  for (let death = 0; death < 5; death++) {
    await queue.reserve(signal)
    await timers.advance(30_000)
  }
  worker.start()
  await timers.advance(0)
  t.match(await records.get('poison'), { state: 'dead', last_error: 'the last attempt did not end' })
  t.equal((await queue.depth()).buried, 1)
})

t.test('closing gives the jobs it is at back, uncounted, and leaves no timer of its own', async (t) => {
  const { timers, jobs, records, queue, worker, thirdParty } = setUp(t, { thirdParty: slow })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(100)
  t.match(await records.get(id), { state: 'running', attempts: 1 })
  await worker.close()
  t.match(await records.get(id), { state: 'queued', attempts: 0 })
  t.match(await queue.depth(), { reserved: 0, delayed: 1 })
  await queue.close()
  t.same(timers.pending(), [])
  t.equal(thirdParty.actions(), 0)
})

t.test('no more than its number of jobs run at a time', async (t) => {
  const { timers, jobs, queue } = setUp(t, { thirdParty: slow })
  for (let n = 0; n < 5; n++) await jobs.submit(integration, newId())
  await timers.advance(0)
  t.match(await queue.depth(), { ready: 3, reserved: 2 })
  await timers.advance(1500)
  t.match(await queue.depth(), { ready: 1, reserved: 2 })
})

t.test('a queue and records that fail for a while lose no job', async (t) => {
  let away = true
  const { timers, jobs, records, logged } = setUp(t, {
    thirdParty: () => scripted([acted, acted]),
    brokenRecords: (save) => async (job) => {
      if (away && job.state === 'running') throw new Error('the records are away')
      await save(job)
    },
  })
  const { id } = (await jobs.submit(integration, newId()))!
  await timers.advance(5000)
  t.match(logged.join(''), /the records are away/)
  away = false
  await timers.advance(30_000)
  t.match(await records.get(id), { state: 'done' })
})

t.test('a worker starts once', async (t) => {
  const { worker } = setUp(t, { thirdParty: slow })
  t.throws(() => worker.start())
})

type SetUp = {
  readonly thirdParty: (timers: ManualTimers) => SimulatedThirdParty
  readonly start?: boolean
  readonly brokenRecords?: (save: JobRecords['save']) => JobRecords['save']
}

type Parts = {
  readonly timers: ManualTimers
  readonly queue: Queue
  readonly records: JobRecords
  readonly jobs: ReturnType<typeof createJobs>
  readonly worker: Worker
  readonly thirdParty: SimulatedThirdParty
  readonly logged: readonly string[]
}

function setUp(t: Test, { thirdParty: create, start = true, brokenRecords = (save) => save }: SetUp): Parts {
  const timers = createManualTimers()
  const logged: string[] = []
  const log = createLog({ level: 'info', destination: { write: (line) => void logged.push(line) } })
  const queue = createMemoryQueue({ maxMessages: 100, leaseMs: 30_000, timers })
  const sound = createMemoryJobRecords({ maxJobs: 100 })
  const records = { ...sound, save: brokenRecords(sound.save) }
  const thirdParty = create(timers)
  const options = {
    queue,
    records,
    thirdParty,
    timers,
    random: () => 0.5,
    log,
    concurrency: 2,
    callTimeoutMs: 25_000,
    leaseMs: 30_000,
  }
  const worker = createWorker(options)
  const jobs = createJobs({ queue, records, timers })
  if (start) worker.start()
  t.teardown(() => worker.close())
  return { timers, queue, records, jobs, worker, thirdParty, logged }
}

function slow(timers: ManualTimers): SimulatedThirdParty {
  return createSlow(timers, 1500)
}

function createSlow(timers: ManualTimers, delayMs: number): SimulatedThirdParty {
  return createThirdParty({ delayMs, failureRate: 0, random: () => 0.5, timers, maxKeys: 100 })
}

/** Answers at once with each outcome in turn. */
function scripted(outcomes: readonly CallOutcome[]): SimulatedThirdParty & { calls(): number } {
  let calls = 0
  return {
    call: async () => outcomes[calls++] ?? failed,
    calls: () => calls,
    actions: () => 0,
  }
}
