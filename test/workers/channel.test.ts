import { EventEmitter } from 'node:events'
import t from 'tap'
import { backOff } from '../../src/workers/back-off.ts'
import { createChannel, type Port } from '../../src/workers/channel.ts'

type Far = {
  add(a: number, b: number): number
  later(text: string): Promise<string>
  fail(): never
  silent(): Promise<never>
}

/** Two ends of a channel that carries JSON, as that of processes does. */
function connect() {
  const ends = [new EventEmitter(), new EventEmitter()] as const
  const port = (near: 0 | 1): Port =>
    Object.assign(ends[near], {
      connected: true,
      send(message: unknown) {
        const text = JSON.stringify(message)
        setImmediate(() => ends[1 - near]!.emit('message', JSON.parse(text)))
        return true
      },
    })
  const near = port(0)
  createChannel(port(1), {
    add: (a: number, b: number) => a + b,
    later: async (text: string) => `${text}!`,
    fail() {
      throw new Error('no')
    },
    silent: () => new Promise(() => {}),
  })
  return { channel: createChannel<Far>(near, {}), near: ends[0] }
}

t.test('questions are answered, at once or later, each with its own', async (t) => {
  const { channel } = connect()
  t.same(await Promise.all([channel.ask('later', 'a'), channel.ask('add', 1, 2), channel.ask('add', 3, 4)]), [
    'a!',
    3,
    7,
  ])
})

t.test('a failure there is a rejection here, also of a question that is not known', async (t) => {
  const { channel } = connect()
  await t.rejects(channel.ask('fail'), { message: 'no' })
  await t.rejects(channel.ask('other' as 'fail'))
  t.equal(await channel.ask('add', 1, 1), 2, 'and the channel goes on')
})

t.test('who is gone answers nothing: what waits is rejected', async (t) => {
  const { channel, near } = connect()
  const asked = channel.ask('silent')
  near.emit('disconnect')
  await t.rejects(asked, { message: 'the other process is gone' })
  Object.assign(near, { connected: false })
  await t.rejects(channel.ask('add', 1, 1), { message: 'the other process is gone' })
})

t.test('the place of workers that die young is filled ever later, up to half a minute', async (t) => {
  t.same([0, 1, 2, 3, 6, 7, 1000].map(backOff), [250, 500, 1000, 2000, 16_000, 30_000, 30_000])
})
