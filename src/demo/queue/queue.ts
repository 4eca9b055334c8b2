/** Work to be done, as it travels: everything a worker needs, so that it may run in another process. */
export type Message = {
  /** Chosen by the sender; the same for every delivery. */
  readonly id: string
  /** At most `MAX_MESSAGE_BYTES` of UTF-8. */
  readonly body: string
}

/** The least of what the backends take: Beanstalkd's default is 65,535 bytes, with room left for an envelope. */
export const MAX_MESSAGE_BYTES = 60_000

/** A message that one worker holds, until it settles it by one of the three calls or the lease ends. */
export type Reservation = {
  readonly message: Message
  /**
   * How often the message has been reserved, this time included: 1 for the first. Counted by the queue, so that a
   * message that kills its worker is counted too.
   */
  readonly attempt: number
  /** The worker lives and is still at it: the lease begins anew. */
  extend(): Promise<void>
  /** The work is done: the message is gone. */
  done(): Promise<void>
  /** Not now: the message comes again, not before `delayMs` (at most 15 minutes, as SQS has it) have passed. */
  retry(delayMs: number): Promise<void>
  /** Never again: the message is put aside for a person to look at. */
  bury(): Promise<void>
}

/**
 * How many messages there are of each kind. Exact in process, about right elsewhere; SQS, which does not tell what waits
 * for its retry from what a worker holds, counts both as reserved.
 */
export type Depth = {
  readonly ready: number
  readonly delayed: number
  readonly reserved: number
  readonly buried: number
}

/**
 * Hands messages to workers, each to one at a time, at least once. It is owned by its callers, jobs and worker, which
 * know no backend.
 *
 * - A message comes again when its worker neither settles it nor lives: after the lease, `leaseMs` from its reservation
 *   or its last extension. So it may come twice, and what it asks for must bear that.
 * - Settling or extending after the lease has ended, or settling twice, changes nothing: another worker may hold the message by then.
 * - No order is promised, though each backend hands out about in the order of arrival.
 * - Every call rejects within seconds when the backend is away, `put` with a SluiceError `queue_unavailable`; nothing is
 *   promised then about whether it took effect.
 */
export type Queue = {
  /**
   * Adds a message; 'full' and nothing added when as many as the queue's bound are ready, delayed or reserved. Rejects
   * a body that is too large.
   */
  put(message: Message): Promise<'added' | 'full'>
  /**
   * Waits for a message; undefined when `signal` aborts (a poll under way is ended first). A message is never kept by a
   * call that was aborted.
   */
  reserve(signal: AbortSignal): Promise<Reservation | undefined>
  depth(): Promise<Depth>
  /** Waiting `reserve` calls resolve to undefined; messages that a backend keeps are kept. */
  close(): Promise<void>
}

/** Throws a RangeError for a message that is larger than every backend takes. */
export function checkSize({ body }: Message): void {
  const bytes = Buffer.byteLength(body)
  if (bytes > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${bytes} bytes; at most ${MAX_MESSAGE_BYTES}`)
}
