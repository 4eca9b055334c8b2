import t from 'tap'
import { openQueue, queueKind } from '../../../src/demo/queue/index.ts'
import { systemTimers } from '../../../src/demo/timers.ts'
import { createLog } from '../../../src/log.ts'

t.test('a URL says which queue is meant', async (t) => {
  for (const [url, kind] of [
    ['memory:', 'memory'],
    ['redis://127.0.0.1:6379', 'redis'],
    ['rediss://user:word@redis.example/2', 'redis'],
    ['beanstalkd://[::1]:11300', 'beanstalkd'],
    ['beanstalkd://queue', 'beanstalkd'],
    ['sqs://demo', 'sqs'],
    ['sqs://demo.fifo', 'sqs'],
    ['https://sqs.eu-west-1.amazonaws.com/123456789012/demo', 'sqs'],
    ['http://127.0.0.1:4566/000000000000/demo', 'sqs'],
  ] as const) {
    t.equal(queueKind(url), kind, url)
  }
})

t.test('a URL that means no queue is refused, with what to write', async (t) => {
  const options = { maxMessages: 1, leaseMs: 1000, timers: systemTimers, log: createLog({ level: 'silent' }) }
  for (const url of [
    '',
    'memory',
    'memory:x',
    'redis:',
    'redis://',
    'amqp://host',
    'sqs://',
    'sqs://a/b',
    'https://x',
  ]) {
    t.equal(queueKind(url), undefined, url)
    const message = `'${url}' is no queue; write memory:, redis://host:6379,`
    await t.rejects(openQueue({ ...options, url }), { code: 'usage', message: new RegExp(`^${message}`) })
  }
})
