import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openQueue } from '../../../src/demo/queue/index.ts'
import type { Queue } from '../../../src/demo/queue/queue.ts'
import { systemTimers } from '../../../src/demo/timers.ts'
import { createLog } from '../../../src/log.ts'
import { startBeanstalkd } from '../../fixtures/beanstalkd.ts'
import { freePort, startRedis } from '../../fixtures/redis-server.ts'
import { startSqs } from '../../fixtures/sqs.ts'

const log = createLog({ level: 'silent' })
const never = new AbortController().signal

t.jobs = 4
const parallel = { buffered: true }

t.test('a backend that is not there is told at once, each time, and who it is', parallel, async (t) => {
  const port = await freePort()
  for (const url of [`redis://:secret@127.0.0.1:${port}`, `beanstalkd://127.0.0.1:${port}`, 'sqs://none']) {
    const queue = await open(t, url, `http://127.0.0.1:${port}`)
    for (const call of [() => queue.put({ id: 'a', body: '' }), () => queue.depth(), () => queue.reserve(never)]) {
      const begin = performance.now()
      const error = await call().then(
        () => new Error('it was there'),
        (error: Error) => error,
      )
      t.match(error, { code: 'queue_unavailable', message: /^the queue at .* is not available: .*DEMO_QUEUE_URL$/ })
      t.match(error.message, url.replace(':secret@', ''))
      t.notMatch(error.message, 'secret')
      t.ok(performance.now() - begin < 5000)
    }
  }
})

t.test('a backend that comes later is used when it is there', parallel, async (t) => {
  const port = await freePort()
  const queue = await open(t, `redis://127.0.0.1:${port}`)
  await t.rejects(queue.put({ id: 'a', body: '' }), { code: 'queue_unavailable' })
  const server = await startRedis([], port)
  t.teardown(() => server.stop())
  await eventually(() => queue.put({ id: 'b', body: '' }))
  t.equal((await queue.reserve(never))?.message.id, 'b')
})

t.test('what Redis with AOF had accepted is there after a crash', parallel, async (t) => {
  const dir = t.testdir({})
  const args = ['--dir', dir, '--appendonly', 'yes', '--appendfsync', 'always']
  const first = await startRedis(args)
  t.teardown(() => first.stop())
  const queue = await open(t, first.url)
  await outlives(t, queue, first.stop, async () => {
    const second = await startRedis(args, first.port)
    t.teardown(() => second.stop())
  })
})

t.test('what Beanstalkd with its log had accepted is there after a crash', parallel, async (t) => {
  const server = await startBeanstalkd()
  t.teardown(() => server.stop())
  await outlives(t, await open(t, server.url), server.kill, server.restart)
})

t.test('an SQS queue without a place for the dead says so', parallel, async (t) => {
  const server = await startSqs()
  t.teardown(() => server.stop())
  const queue = await open(t, server.createQueue({ redrive: false }), server.endpoint)
  await t.rejects(queue.put({ id: 'a', body: '' }), /it has no redrive policy; give it a dead-letter queue/)
})

/** Ready, held, delayed and buried messages, and the connections, over a crash of the server. */
async function outlives(t: Test, queue: Queue, kill: () => Promise<void>, restart: () => Promise<void>) {
  for (const id of ['buried', 'held', 'delayed', 'ready']) await queue.put({ id, body: `of ${id}` })
  const taken = [await take(queue), await take(queue), await take(queue)]
  await taken.find(({ message }) => message.id === 'buried')?.bury()
  await taken.find(({ message }) => message.id === 'delayed')?.retry(500)
  const held = taken.find(({ message }) => message.id === 'held')
  await kill()
  await t.rejects(queue.put({ id: 'lost', body: '' }), { code: 'queue_unavailable' })
  await t.rejects(held!.done())
  await restart()
  await eventually(() => queue.depth())
  t.equal((await queue.depth()).buried, 1)
  const bodies = new Set<string>()
  while (bodies.size < 3) {
    const { message, done } = await take(queue)
    bodies.add(message.body)
    await done()
  }
  t.same([...bodies].sort(), ['of delayed', 'of held', 'of ready'])
  await queue.put({ id: 'new', body: '' })
  t.equal((await take(queue)).message.id, 'new')
}

async function take(queue: Queue) {
  const reservation = await queue.reserve(never)
  if (reservation === undefined) throw new Error('the queue closed')
  return reservation
}

async function open(t: Test, url: string, sqsEndpoint?: string): Promise<Queue> {
  const bounds = { maxMessages: 100, leaseMs: 2000 }
  const queue = await openQueue({ ...bounds, url, name: randomUUID(), timers: systemTimers, log, sqsEndpoint })
  t.teardown(() => queue.close())
  return queue
}

async function eventually<T>(call: () => Promise<T>): Promise<T> {
  const end = performance.now() + 10_000
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (performance.now() > end) throw error
      await delay(50)
    }
  }
}
