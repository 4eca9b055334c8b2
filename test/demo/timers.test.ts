import t from 'tap'
import { pause, systemTimers } from '../../src/demo/timers.ts'
import { createManualTimers } from './manual-timers.ts'

t.test('a pause ends when its time has passed', async (t) => {
  const timers = createManualTimers()
  const paused = pause(timers, 1000, new AbortController().signal)
  t.same(timers.pending(), [1000])
  await timers.advance(1000)
  t.equal(await paused, true)
})

t.test('a pause that is aborted ends at once and leaves no timer', async (t) => {
  const timers = createManualTimers()
  const controller = new AbortController()
  const paused = pause(timers, 1000, controller.signal)
  controller.abort()
  t.equal(await paused, false)
  t.same(timers.pending(), [])
  t.equal(await pause(timers, 1000, controller.signal), false)
})

t.test('the system timers call and cancel', async (t) => {
  await new Promise<void>((resolve) => systemTimers.after(1, resolve))
  systemTimers.after(1, () => t.fail('it was cancelled'))()
  await new Promise<void>((resolve) => systemTimers.after(5, resolve))
  t.ok(Math.abs(systemTimers.now() - Date.now()) < 1000)
})
