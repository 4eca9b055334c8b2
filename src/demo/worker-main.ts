import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SluiceError } from '../errors.ts'
import { createLog } from '../log.ts'
import { openBackend, redisUrlOf } from './backend.ts'
import { withoutSecrets } from './in-time.ts'
import { queueKind } from './queue/index.ts'
import { MAX_USERS } from './server.ts'
import { type DemoSettings, defaultSettings, readSettings } from './settings.ts'
import { systemTimers } from './timers.ts'

/**
 * `npm run demo:worker`: does the jobs of a shared queue until SIGTERM or SIGINT, gives back those it is at, then exits 0;
 * what hinders its start is one line, and exit 1. As many as wanted at once.
 */
async function main(): Promise<void> {
  const settings = readSettings(process.env)
  checkShared(settings)
  const log = createLog({ level: 'info' })
  const concurrency = settings.concurrency || defaultSettings.concurrency
  const parts = { log, timers: systemTimers, random: Math.random, maxUsers: MAX_USERS }
  const backend = await openBackend({ ...settings, concurrency, ...parts })
  let stopping = false
  function stop(): void {
    // The second signal does not wait.
    if (stopping) process.exit(1)
    stopping = true
    void backend.close().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  backend.worker.start()
  process.stdout.write(`The demo's worker takes jobs from ${withoutSecrets(settings.queueUrl)}\n`)
}

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

function fail(error: unknown): void {
  const text = error instanceof SluiceError ? error.message : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`demo: ${text}\n`)
  process.exitCode = 1
}

const script = process.argv[1]
if (script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url)) await main().catch(fail)
