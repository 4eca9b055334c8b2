import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createBeanstalkdQueue } from '../../../src/demo/queue/beanstalkd.ts'
import { createLog } from '../../../src/log.ts'
import { queueContract } from '../../contracts/queue.ts'
import { startBeanstalkd } from '../../fixtures/beanstalkd.ts'

const log = createLog({ level: 'silent' })
const server = await startBeanstalkd()
t.teardown(() => server.stop())

queueContract('the queue in Beanstalkd', async (t, bounds) => {
  const queue = createBeanstalkdQueue({ ...bounds, url: server.url, name: randomUUID(), log })
  t.teardown(() => queue.close())
  return { queue, advance: (ms) => delay(ms) }
})
