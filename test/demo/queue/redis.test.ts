import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createRedisQueue } from '../../../src/demo/queue/redis.ts'
import { createLog } from '../../../src/log.ts'
import { queueContract } from '../../contracts/queue.ts'
import { startRedis } from '../../fixtures/redis-server.ts'

const log = createLog({ level: 'silent' })
const server = await startRedis(['--maxmemory-policy', 'noeviction'])
t.teardown(() => server.stop())

queueContract('the queue in Redis', async (t, bounds) => {
  const queue = createRedisQueue({ ...bounds, url: server.url, name: randomUUID(), log })
  t.teardown(() => queue.close())
  return { queue, advance: (ms) => delay(ms) }
})
