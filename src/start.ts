import { fileURLToPath } from 'node:url'
import { startApp } from './app.ts'
import { SluiceError } from './errors.ts'
import { createLog } from './log.ts'
import { formatProblem } from './policy/problem.ts'
import { readPolicy } from './policy/read.ts'
import { readVersion } from './version.ts'

/** `npm start`: the demo upstream and the proxy before it, in one process, with the policy of config/sluice.yaml. */
async function start(): Promise<void> {
  const file = process.env.SLUICE_CONFIG || fileURLToPath(new URL('../config/sluice.yaml', import.meta.url))
  const result = readPolicy(file, process.env)
  if (!result.ok)
    throw new SluiceError('policy_invalid', result.problems.map((problem) => formatProblem(problem)).join('\n'))
  const log = createLog({ level: result.policy.log.level })
  const { createDemo, readSettings } = await loadDemo()
  const demo = createDemo({ ...readSettings(process.env), log: createLog({ level: 'warn' }) })
  const { url: demoUrl } = await demo.start()
  const app = await startApp(result.policy, { log, version: readVersion() }).catch(async (cause: unknown) => {
    await demo.close()
    throw cause
  })
  for (const warning of result.warnings) process.stderr.write(`${formatProblem(warning, 'warning')}\n`)
  process.stdout.write(introduction(app.url, app.adminUrl, demoUrl))

  let isEnding = false
  function end(): void {
    if (isEnding) process.exit(1)
    isEnding = true
    app.close().then(() => demo.close())
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
}

/** The packages that only the demo needs are optional dependencies: they may be missing. */
async function loadDemo() {
  try {
    return { ...(await import('./demo/server.ts')), ...(await import('./demo/settings.ts')) }
  } catch (cause) {
    const { code, message } = cause as Error & { code?: string }
    if (code !== 'ERR_MODULE_NOT_FOUND') throw cause
    const [what] = message.split(' imported from')
    throw new SluiceError(
      'usage',
      `${what}: the demo upstream needs it. Run npm ci without --omit=optional, or the proxy alone: node dist/main.js serve`,
    )
  }
}

function introduction(url: string, adminUrl: string, demoUrl: string): string {
  const at = url.replace('0.0.0.0', 'localhost')
  return `
Sluice listens on ${at}, its admin port on ${adminUrl}, the demo API behind it on ${demoUrl}.

A good answer, with what is left of the allowance:
  curl -i ${at}/items
A conflict (409), the second time:
  for i in 1 2; do curl -i -H 'Content-Type: application/json' -d '{"email":"ada@example.com"}' ${at}/users; done
A refusal (429), after 30 requests at once:
  for i in $(seq 40); do curl -s -o /dev/null -w '%{http_code} ' ${at}/items; done; curl -i ${at}/items

`
}

try {
  await start()
} catch (cause) {
  if (!(cause instanceof SluiceError)) throw cause
  process.stderr.write(`${cause.message}\n`)
  process.exitCode = 1
}
