import { SluiceError } from '../errors.ts'
import { createLog } from '../log.ts'
import { openBackend, redisUrlOf } from './backend.ts'
import { queueKind } from './queue/index.ts'
import { runScript } from './run-script.ts'
import { MAX_USERS } from './server.ts'
import { type DemoSettings, defaultSettings, readSettings } from './settings.ts'
import { systemTimers } from './timers.ts'
import { withoutSecrets } from './with-timeout.ts'

/** `npm run demo:worker`: does the jobs of a shared queue, and gives back those it is at when it ends. As many as wanted at once. */
await runScript(process, import.meta.url, async () => {
  const settings = readSettings(process.env)
  checkShared(settings)
  const log = createLog({ level: 'info' })
  const concurrency = settings.concurrency || defaultSettings.concurrency
  const parts = { log, timers: systemTimers, random: Math.random, maxUsers: MAX_USERS }
  const backend = await openBackend({ ...settings, concurrency, ...parts })
  return {
    async start() {
      backend.worker.start()
      return `The demo's worker takes jobs from ${withoutSecrets(settings.queueUrl)}`
    },
    close: () => backend.close(),
  }
})

function checkShared(settings: DemoSettings): void {
  if (queueKind(settings.queueUrl) === 'memory') {
    const message = `DEMO_QUEUE_URL: '${settings.queueUrl}' is a queue in one process; write that of a queue that is shared`
    throw new SluiceError('usage', message)
  }
  if (redisUrlOf(settings) === undefined) {
    const message = 'DEMO_REDIS_URL: is missing; write redis://host:6379, where worker and API both know the jobs'
    throw new SluiceError('usage', message)
  }
}
