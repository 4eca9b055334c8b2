import type { Message, Reservation } from './queue.ts'

/** A message that a backend has handed out, and what the backend does to it. */
export type Lease = {
  readonly message: Message
  readonly attempt: number
  readonly leaseMs: number
  /** When it was asked for, by `performance.now()`: before the backend began to count, so never too late. */
  readonly fromMs: number
  extend(): Promise<void>
  done(): Promise<void>
  retry(delayMs: number): Promise<void>
  bury(): Promise<void>
}

/**
 * A reservation that is settled once, and only while its lease holds. Not all backends refuse a late holder: Beanstalkd
 * lets anybody delete a message that is ready again, and SQS may honour a receipt of an earlier delivery.
 */
export function leased({ message, attempt, leaseMs, fromMs, ...backend }: Lease): Reservation {
  let endsAtMs = fromMs + leaseMs
  let isSettled = false

  function isHeld(): boolean {
    return !isSettled && performance.now() < endsAtMs
  }

  async function settle(call: () => Promise<void>): Promise<void> {
    if (!isHeld()) return
    isSettled = true
    await call()
  }

  return {
    message,
    attempt,
    async extend() {
      if (!isHeld()) return
      const askedMs = performance.now()
      await backend.extend()
      endsAtMs = askedMs + leaseMs
    },
    done: () => settle(() => backend.done()),
    retry: (delayMs) => settle(() => backend.retry(delayMs)),
    bury: () => settle(() => backend.bury()),
  }
}
