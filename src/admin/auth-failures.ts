import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'

export type AuthFailures = {
  /** Counts and logs a wrong admin token, and resolves when the response may be sent. */
  note(peer: string | undefined, path: string): Promise<void>
}

export type AuthFailuresOptions = {
  readonly clock: Clock
  readonly log: Logger
  /** Counts one. */
  readonly onFailure: () => void
}

/** Milliseconds that the response to a wrong token waits. */
const DELAY = 1000
/** At most one log line in so many microseconds; the next one says how many there were. */
const LOG_EVERY_US = 1_000_000
/** Longer paths are cut in the log. */
const MAX_PATH = 100

/**
 * Slows down whoever tries admin tokens: each connection gets one try a second. Only the response to a wrong token waits, so
 * the operator's right one works at once, whatever others try.
 */
export function createAuthFailures({ clock, log, onFailure }: AuthFailuresOptions): AuthFailures {
  let loggedUs = Number.NEGATIVE_INFINITY
  let unlogged = 0
  return {
    async note(peer, path) {
      onFailure()
      unlogged++
      const nowUs = clock.nowUs()
      if (nowUs - loggedUs >= LOG_EVERY_US) {
        log.warn(
          { peer, path: path.slice(0, MAX_PATH), attempts: unlogged },
          'wrong admin token: not the value of admin_token',
        )
        loggedUs = nowUs
        unlogged = 0
      }
      await delay(DELAY, undefined, { ref: false })
    },
  }
}
