import t from 'tap'
import { createWaitQueue } from '../../../src/proxy/upstream/wait-queue.ts'

const request = (holder: string, nth: number) => ({ holder, network: holder, name: `${holder}${nth}` })

function queueOf(...holders: readonly string[]) {
  const queue = createWaitQueue<ReturnType<typeof request>>()
  holders.forEach((holder, i) => {
    queue.add(request(holder, i), i)
  })
  return queue
}

t.test('holders are served in turn, each in the order of its requests', async (t) => {
  const queue = queueOf('a', 'a', 'a', 'b', 'c', 'b')
  const served = Array.from({ length: 6 }, () => queue.next(() => true)?.name)
  t.same(served, ['a0', 'b3', 'c4', 'a1', 'b5', 'a2'])
  t.equal(
    queue.next(() => true),
    undefined,
  )
  t.equal(queue.size, 0)
})

t.test('one that may not be served keeps its turn', async (t) => {
  const queue = queueOf('a', 'b', 'a')
  t.equal(queue.next(({ holder }) => holder !== 'a')?.name, 'b1')
  t.equal(
    queue.next(({ holder }) => holder !== 'a'),
    undefined,
  )
  t.equal(queue.next(() => true)?.name, 'a0')
})

t.test('those that waited too long are taken out, and those that left', async (t) => {
  const queue = queueOf('a', 'b', 'a', 'b')
  t.same(
    queue.takeOlder(1).map(({ name }) => name),
    ['a0', 'b1'],
  )
  const late = request('a', 9)
  queue.add(late, 9)
  t.equal(queue.remove(late), true)
  t.equal(queue.remove(late), false)
  t.equal(queue.size, 2)
  t.same(
    queue.takeOlder(Number.POSITIVE_INFINITY).map(({ name }) => name),
    ['a2', 'b3'],
  )
})
