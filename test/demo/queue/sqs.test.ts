import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createSqsQueue } from '../../../src/demo/queue/sqs.ts'
import { createLog } from '../../../src/log.ts'
import { queueContract } from '../../contracts/queue.ts'
import { startSqs } from '../../fixtures/sqs.ts'

const log = createLog({ level: 'silent' })
const server = await startSqs()
t.teardown(() => server.stop())

for (const fifo of [false, true]) {
  queueContract(`the ${fifo ? 'FIFO' : 'standard'} queue in SQS`, async (t, bounds) => {
    const queue = createSqsQueue({ ...bounds, url: server.createQueue({ fifo }), endpoint: server.endpoint, log })
    t.teardown(() => queue.close())
    return { queue, advance: (ms) => delay(ms), countsDelayedAsReserved: true }
  })
}
