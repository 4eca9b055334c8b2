import t from 'tap'
import { createDoorkeeper, seenFor } from '../../src/identity/doorkeeper.ts'

const SECOND = 1_000_000

t.test('a value is new once, and then as old as its first sight', async (t) => {
  const doorkeeper = createDoorkeeper()
  t.equal(seenFor(doorkeeper, 'a', 0), 0)
  t.ok(seenFor(doorkeeper, 'a', 0) > 0)
  t.ok(seenFor(doorkeeper, 'a', SECOND / 2) < SECOND)
  t.ok(seenFor(doorkeeper, 'a', SECOND) >= SECOND)
  t.equal(seenFor(doorkeeper, 'b', SECOND), 0)
})

t.test('a home takes little, a flood no more than 8 KiB', async (t) => {
  const doorkeeper = createDoorkeeper()
  for (let i = 0; i < 8; i++) t.equal(seenFor(doorkeeper, `home-${i}`, 0), 0)
  t.equal(doorkeeper.entries.byteLength, 64)
  for (let i = 0; i < 8; i++) t.ok(seenFor(doorkeeper, `home-${i}`, SECOND) >= SECOND, 'all eight are remembered')
  for (let i = 0; i < 100_000; i++) seenFor(doorkeeper, `flood-${i}`, SECOND + i * 10_000)
  t.equal(doorkeeper.entries.byteLength, 8192)
})

t.test('under a flood of 100 a second a value that comes again within five seconds is known', async (t) => {
  const doorkeeper = createDoorkeeper()
  let missed = 0
  let now = 0
  for (let round = 0; round < 200; round++) {
    seenFor(doorkeeper, `device-${round}`, now)
    for (let i = 0; i < 500; i++) {
      now += 10_000
      seenFor(doorkeeper, `flood-${round}-${i}`, now)
    }
    if (seenFor(doorkeeper, `device-${round}`, now) < 4 * SECOND) missed++
  }
  t.ok(missed <= 10, `${missed} of 200 were forgotten`)
})

t.test('growing forgets nothing', async (t) => {
  const doorkeeper = createDoorkeeper()
  for (let i = 0; i < 9; i++) seenFor(doorkeeper, `value-${i}`, i * SECOND)
  for (let i = 0; i < 9; i++) t.ok(seenFor(doorkeeper, `value-${i}`, 20 * SECOND) >= (20 - i) * SECOND - 70_000)
})

t.test('what has been idle for a minute makes room in a small one', async (t) => {
  const doorkeeper = createDoorkeeper()
  for (let i = 0; i < 100; i++) seenFor(doorkeeper, `value-${i}`, i * 61 * SECOND)
  t.equal(doorkeeper.entries.byteLength, 64)
})
