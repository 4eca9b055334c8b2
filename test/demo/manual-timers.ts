import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Timers } from '../../src/demo/timers.ts'

export type ManualTimers = Timers & {
  /** Moves the time on, calling what falls due in its order, and lets what follows from each call happen. */
  advance(ms: number): Promise<void>
  /** The delays of the calls that are yet to come, the next first. */
  pending(): number[]
}

type Call = { readonly atMs: number; readonly call: () => void }

/** Timers that stand still until a test moves them. */
export function createManualTimers(startMs = Date.parse('2026-01-01T00:00:00Z')): ManualTimers {
  let nowMs = startMs
  let calls: Call[] = []

  function take(untilMs: number): Call | undefined {
    const [next] = calls
    if (next === undefined || next.atMs > untilMs) return undefined
    calls = calls.slice(1)
    return next
  }

  return {
    now: () => nowMs,
    after(delayMs, call) {
      const entry = { atMs: nowMs + delayMs, call }
      // Stable: what was asked for first is called first.
      calls = [...calls, entry].sort((a, b) => a.atMs - b.atMs)
      return () => {
        calls = calls.filter((other) => other !== entry)
      }
    },
    async advance(ms) {
      const untilMs = nowMs + ms
      await settle()
      for (let next = take(untilMs); next !== undefined; next = take(untilMs)) {
        nowMs = next.atMs
        next.call()
        await settle()
      }
      nowMs = untilMs
    },
    pending: () => calls.map(({ atMs }) => atMs - nowMs),
  }
}

/** Lets promises that can go on do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await nextTurn()
}

/** Waits for what the sockets bring about; the test's own timeout is its bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await nextTurn()
}
