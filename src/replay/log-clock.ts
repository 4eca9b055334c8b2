import type { Clock } from '../clock.ts'

/** The time that a log tells, made into a clock that never steps back. */
export type LogClock = Clock & {
  /** Moves to what a line says (microseconds). */
  moveTo(us: number): void
  /** How often a line was further back than lines usually change places. */
  stepsBack(): number
}

/** Lines are written when requests end: they may be off by so much (microseconds). */
const DISORDER_US = 60_000_000

/**
 * A small step back stands still until the log has caught up. After a large one (a clock set back, files in the wrong order, a
 * line from the future) the time goes on from where it was: nothing is refilled, and nothing locked.
 */
export function createLogClock(originUs: number): LogClock {
  let offset = -originUs
  let now = 0
  let steps = 0
  return {
    nowUs: () => now,
    moveTo(us) {
      if (us + offset < now - DISORDER_US) {
        offset = now - us
        steps++
      }
      now = Math.max(now, us + offset)
    },
    stepsBack: () => steps,
  }
}
