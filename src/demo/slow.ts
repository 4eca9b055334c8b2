import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { wholeQuery } from './query.ts'
import { disconnectSignal, streamJson, streamResponse } from './stream-response.ts'
import { pause, type Timers } from './timers.ts'

const MAX_MS = 60_000
const DEFAULT_MS = 1000

/** `GET /slow?ms=`: answers after that time, and waits no longer than its client does. */
export function slowRoutes(app: Hono<DemoEnv>, timers: Timers): void {
  app.get('/slow', (c) => {
    const ms = wholeQuery(c, 'ms', { min: 0, max: MAX_MS }, DEFAULT_MS)
    if (ms instanceof Response) return ms
    return streamResponse(c, async ({ env }) => {
      if (await pause(timers, ms, disconnectSignal(env.outgoing))) streamJson(env.outgoing, { ms })
    })
  })
}
