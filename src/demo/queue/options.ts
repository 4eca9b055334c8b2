import type { Logger } from 'pino'

/** What every backend outside the process is made of. */
export type BackendOptions = {
  /** As DEMO_QUEUE_URL has it. */
  readonly url: string
  /** Of the queue, tube or key prefix: those of one name share their messages. */
  readonly name: string
  /** At most so many messages ready, delayed or reserved; several processes at once may pass it by a few. */
  readonly maxMessages: number
  /** How long a worker may be silent before it is taken to be dead; whole seconds where the backend counts in those. */
  readonly leaseMs: number
  readonly log: Logger
}
