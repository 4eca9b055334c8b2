import { createLog } from '../log.ts'
import { runScript } from './run-script.ts'
import { createDemo } from './server.ts'
import { readSettings } from './settings.ts'

/** `npm run demo`: the demo upstream by itself. */
await runScript(process, import.meta.url, () => {
  const demo = createDemo({ ...readSettings(process.env), log: createLog({ level: 'info' }) })
  return {
    start: async () => `The demo upstream listens on ${(await demo.start()).url}`,
    close: () => demo.close(),
  }
})
