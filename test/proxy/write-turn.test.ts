import t from 'tap'
import { writeThisTurn } from '../../src/proxy/write-turn.ts'

/** The turns of the event loop, one after another. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

t.test('what is ready in one turn is written at its end, in order', async (t) => {
  const written: number[] = []
  for (const n of [1, 2, 3]) writeThisTurn({ write: () => void written.push(n) })
  t.same(written, [])
  await turn()
  t.same(written, [1, 2, 3])
})

t.test('what becomes ready meanwhile goes out a turn later', async (t) => {
  const written: string[] = []
  writeThisTurn({
    write() {
      written.push('first')
      writeThisTurn({ write: () => void written.push('second') })
    },
  })
  await turn()
  t.same(written, ['first'])
  await turn()
  t.same(written, ['first', 'second'])
})

t.test('one that throws keeps no other from going out', async (t) => {
  const written: number[] = []
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
  writeThisTurn({ write: () => void written.push(1) })
  writeThisTurn({
    write() {
      throw new Error('a socket of its own kind')
    },
  })
  writeThisTurn({ write: () => void written.push(3) })
  t.match(await thrown, { message: 'a socket of its own kind' })
  await turn()
  await turn()
  t.same(written, [1, 3])
})
