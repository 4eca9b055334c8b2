import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { SharedBackend } from '../../src/app.ts'
import { SluiceError } from '../../src/errors.ts'
import { type Channel, createChannel } from '../../src/workers/channel.ts'
import { createLentStore } from '../../src/workers/lent-store.ts'
import type { PrimaryAnswers } from '../../src/workers/questions.ts'
import { debitOf, type StoreUnderTest, storeContract, T0 } from '../contracts/store.ts'

type Lender = PrimaryAnswers & { setClock(to: number): void }

function start() {
  const child = fork(fileURLToPath(new URL('../fixtures/lending-process.ts', import.meta.url)))
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, ended, channel: createChannel<Lender>(child, {}) }
}

const { child, ended, channel } = start()

/** A store whose buckets are in another process, empty. */
async function open(): Promise<Omit<StoreUnderTest, 'store'> & { readonly store: SharedBackend }> {
  const clock = { us: T0 }
  const lent = createLentStore(channel as Channel<PrimaryAnswers>)
  let sentUs = T0
  const store: SharedBackend = {
    ...lent,
    charge(debits) {
      // Ahead of the charge, which goes at the end of the turn.
      if (clock.us !== sentUs) void channel.ask('setClock', clock.us)
      sentUs = clock.us
      return lent.charge(debits)
    },
  }
  await channel.ask('begin')
  return { store, clock }
}

storeContract(t, 'the store of the primary', open)

t.test('charges of one turn are one message', async (t) => {
  const { store } = await open()
  let sent = 0
  const send = child.send.bind(child)
  child.send = (...args: unknown[]) => {
    sent++
    return (send as (...args: unknown[]) => boolean)(...args)
  }
  await Promise.all(Array.from({ length: 50 }, (_, i) => store.charge([debitOf({ id: `${i}` })])))
  t.equal(sent, 1)
})

t.test('without the other process it fails as a store that is away', async (t) => {
  const { store } = await open()
  const asked = store.charge([debitOf()])
  child.kill('SIGKILL')
  const isAway = (cause: unknown) => t.match(cause, { constructor: SluiceError, code: 'store_unavailable' })
  await asked.then(() => {}, isAway)
  await ended
  await store.charge([debitOf()]).then(() => t.fail('it was charged'), isAway)
  await store.ping().then(() => t.fail('it was there'), isAway)
  await store.giveBack([debitOf({ tokens: -1 })])
})
