import { SluiceError } from '../../errors.ts'
import type { Journal } from '../storage/journal.ts'
import type { QueuedMessage } from '../storage/storage.ts'
import type { Timers } from '../timers.ts'
import { createMemoryQueue } from './memory.ts'
import type { BackendOptions } from './options.ts'
import type { Queue } from './queue.ts'

/** The queues there are, by the scheme of DEMO_QUEUE_URL; an https URL is that of an SQS queue. */
export type QueueKind = 'memory' | 'redis' | 'beanstalkd' | 'sqs'

export type OpenQueueOptions = Omit<BackendOptions, 'name'> & {
  readonly timers: Timers
  readonly sqsEndpoint?: string | undefined
  /** Left out, the one that all processes of the demo share. */
  readonly name?: string
  /** For the queue in process; the others keep their messages by themselves. */
  readonly journal?: Journal<QueuedMessage> | undefined
}

const KINDS: readonly (readonly [pattern: RegExp, kind: QueueKind])[] = [
  [/^memory:$/, 'memory'],
  [/^rediss?:\/\/[^/]/, 'redis'],
  [/^beanstalkd:\/\/[^/@?#]+$/, 'beanstalkd'],
  [/^sqs:\/\/[A-Za-z0-9_-]{1,80}(\.fifo)?$/, 'sqs'],
  [/^https?:\/\/[^/]+\/.*[^/]$/, 'sqs'],
]
const NAME = 'sluice-demo'

/** Which queue a URL means; undefined when it means none. */
export function queueKind(url: string): QueueKind | undefined {
  return URL.canParse(url) ? KINDS.find(([pattern]) => pattern.test(url))?.[1] : undefined
}

/**
 * The queue that `url` means. Its client is loaded only now, and only its own. The backend need not be there yet: what
 * needs it rejects until it is. Throws a SluiceError `usage` for a URL that means no queue.
 */
export async function openQueue(all: OpenQueueOptions): Promise<Queue> {
  const { timers, sqsEndpoint, name = NAME, journal, ...options } = all
  switch (queueKind(options.url)) {
    case 'memory':
      return createMemoryQueue({ ...options, timers, journal })
    case 'redis':
      return (await import('./redis.ts')).createRedisQueue({ ...options, name })
    case 'beanstalkd':
      return (await import('./beanstalkd.ts')).createBeanstalkdQueue({ ...options, name })
    case 'sqs':
      return (await import('./sqs.ts')).createSqsQueue({ ...options, endpoint: sqsEndpoint })
    case undefined:
      throw new SluiceError('usage', `'${options.url}' is no queue; write ${QUEUE_URL_RULE}`)
  }
}

/** What a queue's URL may be. */
export const QUEUE_URL_RULE =
  'memory:, redis://host:6379, beanstalkd://host:11300, sqs://name, or the https URL of an SQS queue'
