import t, { type Test } from 'tap'
import { MAX_MESSAGE_BYTES, type Queue, type Reservation } from '../../src/demo/queue/queue.ts'

/** A queue to be held to its contract, and its time: a backend with a clock of its own sleeps in `advance`. */
export type QueueUnderTest = {
  readonly queue: Queue
  advance(ms: number): Promise<void>
  /** SQS does not tell what waits for its retry from what a worker holds. */
  readonly countsDelayedAsReserved?: boolean
}

export type QueueBounds = { readonly maxMessages: number; readonly leaseMs: number }

const BOUNDS: QueueBounds = { maxMessages: 100, leaseMs: 2000 }
const parallel = { buffered: true }
const never = new AbortController().signal

/** What every queue promises. `create` makes an empty one each time, and disposes of it with `test.teardown`. */
export function queueContract(
  name: string,
  create: (test: Test, bounds: QueueBounds) => Promise<QueueUnderTest>,
): void {
  t.jobs = 2
  t.test(`${name} keeps the queue's contract`, parallel, async (t) => {
    // Each has a queue of its own; most of their time is waiting.
    t.jobs = 8

    t.test('a message is handed out as it was put, with its first attempt', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      t.equal(await queue.put({ id: 'a', body: '{"text":"é 漢 \\u0000"}' }), 'added')
      const reservation = await take(queue)
      t.same(reservation.message, { id: 'a', body: '{"text":"é 漢 \\u0000"}' })
      t.equal(reservation.attempt, 1)
    })

    t.test('each message is handed to one worker at a time', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      for (const id of ['a', 'b', 'c']) await queue.put({ id, body: id })
      const taken = await Promise.all([take(queue), take(queue), take(queue)])
      t.same(taken.map(({ message }) => message.id).sort(), ['a', 'b', 'c'])
      t.match(await queue.depth(), { ready: 0, reserved: 3 })
    })

    t.test('a worker that waits gets the message that is put later', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      const waiting = take(queue)
      await queue.put({ id: 'late', body: '' })
      t.equal((await waiting).message.id, 'late')
    })

    t.test('what is done is gone', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      await (await take(queue)).done()
      await advance(BOUNDS.leaseMs * 2)
      t.same(await queue.depth(), { ready: 0, delayed: 0, reserved: 0, buried: 0 })
    })

    t.test('what is to be retried comes again after the delay, and counts its attempts', parallel, async (t) => {
      const { queue, advance, countsDelayedAsReserved } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: 'x' })
      await (await take(queue)).retry(1000)
      const [delayed, reserved] = countsDelayedAsReserved ? [0, 1] : [1, 0]
      t.match(await queue.depth(), { ready: 0, delayed, reserved })
      const again = take(queue)
      await advance(1500)
      t.match(await again, { message: { id: 'a', body: 'x' }, attempt: 2 })
    })

    t.test('what is to be retried does not come before the delay', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      await (await take(queue)).retry(1000)
      const waiting = new AbortController()
      const again = queue.reserve(waiting.signal)
      await advance(500)
      waiting.abort()
      t.equal(await again, undefined)
    })

    t.test('what is to be retried without delay comes again', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      await (await take(queue)).retry(0)
      const again = take(queue)
      await advance(500)
      t.equal((await again).attempt, 2)
    })

    t.test('what is buried never comes again, and is counted', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      await (await take(queue)).bury()
      await advance(BOUNDS.leaseMs * 2)
      t.same(await queue.depth(), { ready: 0, delayed: 0, reserved: 0, buried: 1 })
    })

    t.test('what a dead worker held comes again after the lease', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      await take(queue)
      const again = take(queue)
      await advance(BOUNDS.leaseMs + 500)
      t.match(await again, { message: { id: 'a' }, attempt: 2 })
    })

    t.test('what is extended stays with its worker, and comes again when that falls silent', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      const held = await take(queue)
      let isTaken = false
      const again = take(queue).finally(() => {
        isTaken = true
      })
      for (let n = 0; n < 4; n++) {
        await advance(BOUNDS.leaseMs / 2)
        await held.extend()
      }
      t.equal(isTaken, false)
      await advance(BOUNDS.leaseMs + 500)
      t.match(await again, { message: { id: 'a' }, attempt: 2 })
      await held.extend()
      await held.done()
      t.match(await queue.depth(), { reserved: 1 })
    })

    t.test('a worker whose lease ended changes nothing any more', parallel, async (t) => {
      const { queue, advance } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      const first = await take(queue)
      const second = take(queue)
      await advance(BOUNDS.leaseMs + 500)
      const holder = await second
      await first.done()
      await first.bury()
      await first.retry(0)
      t.match(await queue.depth(), { ready: 0, delayed: 0, reserved: 1, buried: 0 })
      await holder.done()
      t.match(await queue.depth(), { ready: 0, delayed: 0, reserved: 0, buried: 0 })
    })

    t.test('settling twice changes nothing', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: '' })
      const reservation = await take(queue)
      await reservation.done()
      await reservation.retry(0)
      await reservation.bury()
      t.same(await queue.depth(), { ready: 0, delayed: 0, reserved: 0, buried: 0 })
    })

    t.test('a full queue takes nothing until one is done', parallel, async (t) => {
      const { queue } = await create(t, { ...BOUNDS, maxMessages: 2 })
      t.equal(await queue.put({ id: 'a', body: '' }), 'added')
      t.equal(await queue.put({ id: 'b', body: '' }), 'added')
      const reservation = await take(queue)
      t.equal(await queue.put({ id: 'c', body: '' }), 'full')
      await reservation.done()
      t.equal(await queue.put({ id: 'c', body: '' }), 'added')
    })

    t.test('a delayed message counts towards the bound, a buried one does not', parallel, async (t) => {
      const { queue } = await create(t, { ...BOUNDS, maxMessages: 1 })
      await queue.put({ id: 'a', body: '' })
      await (await take(queue)).retry(1000)
      t.equal(await queue.put({ id: 'b', body: '' }), 'full')
    })

    t.test('a buried message leaves room', parallel, async (t) => {
      const { queue } = await create(t, { ...BOUNDS, maxMessages: 1 })
      await queue.put({ id: 'a', body: '' })
      await (await take(queue)).bury()
      t.equal(await queue.put({ id: 'b', body: '' }), 'added')
    })

    t.test('a message of the greatest size is taken, a larger one is rejected', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      await queue.put({ id: 'a', body: 'x'.repeat(MAX_MESSAGE_BYTES) })
      t.equal((await take(queue)).message.body.length, MAX_MESSAGE_BYTES)
      await t.rejects(queue.put({ id: 'b', body: 'é'.repeat(MAX_MESSAGE_BYTES / 2 + 1) }))
    })

    t.test('an aborted wait takes no message', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      const waiting = new AbortController()
      const none = queue.reserve(waiting.signal)
      waiting.abort()
      t.equal(await none, undefined)
      await queue.put({ id: 'a', body: '' })
      t.equal(await queue.reserve(AbortSignal.abort()), undefined)
      t.match(await queue.depth(), { ready: 1, reserved: 0 })
    })

    t.test('closing ends the waits', parallel, async (t) => {
      const { queue } = await create(t, BOUNDS)
      const none = queue.reserve(never)
      await queue.close()
      t.equal(await none, undefined)
    })
  })
}

async function take(queue: Queue): Promise<Reservation> {
  const reservation = await queue.reserve(never)
  if (reservation === undefined) throw new Error('the queue closed')
  return reservation
}
