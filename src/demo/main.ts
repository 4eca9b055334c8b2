import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SluiceError } from '../errors.ts'
import { createLog } from '../log.ts'
import { createDemo } from './server.ts'
import { readSettings } from './settings.ts'

/** `npm run demo`: runs the demo until SIGTERM or SIGINT, then exits 0; what hinders its start is one line, and exit 1. */
async function main(): Promise<void> {
  const demo = createDemo({ ...readSettings(process.env), log: createLog({ level: 'info' }) })
  let stopping = false
  function stop(): void {
    // The second signal does not wait.
    if (stopping) process.exit(1)
    stopping = true
    void demo.close().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const { url } = await demo.start()
  process.stdout.write(`The demo upstream listens on ${url}\n`)
}

function fail(error: unknown): void {
  const text = error instanceof SluiceError ? error.message : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`demo: ${text}\n`)
  process.exitCode = 1
}

const script = process.argv[1]
if (script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url)) await main().catch(fail)
