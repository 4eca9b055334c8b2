import type { Hono } from 'hono'
import type { DemoEnv } from './env.ts'
import { wholeQuery } from './query.ts'
import { answerRaw, answerRawJson, goneSignal } from './raw.ts'
import { pause, type Timers } from './timers.ts'

const MAX_MS = 60_000
const DEFAULT_MS = 1000

/** `GET /slow?ms=`: answers after that time, and waits no longer than its client does. */
export function slowRoutes(app: Hono<DemoEnv>, timers: Timers): void {
  app.get('/slow', (c) => {
    const ms = wholeQuery(c, 'ms', { min: 0, max: MAX_MS }, DEFAULT_MS)
    if (ms instanceof Response) return ms
    return answerRaw(c, async ({ env }) => {
      if (await pause(timers, ms, goneSignal(env.outgoing))) answerRawJson(env.outgoing, { ms })
    })
  })
}
