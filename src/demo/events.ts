import type { ServerResponse } from 'node:http'
import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { wholeQuery } from './query.ts'
import { disconnectSignal, streamResponse } from './stream-response.ts'
import { pause, type Timers } from './timers.ts'

const DEFAULT_MS = 1000

/**
 * `GET /sse?ms=&count=`: Server-Sent Events, the first at once and one each interval, `count` of them or without end.
 * The stream ends and its timer stops when the client goes or when `closing` aborts.
 */
export function eventRoutes(app: Hono<DemoEnv>, timers: Timers, closing: AbortSignal): void {
  app.get('/sse', (c) => {
    const ms = wholeQuery(c, 'ms', { min: 10, max: 10_000 }, DEFAULT_MS)
    if (ms instanceof Response) return ms
    const endless = c.req.query('count') === undefined
    const count = endless ? Number.POSITIVE_INFINITY : wholeQuery(c, 'count', { min: 1, max: 1_000_000 })
    if (count instanceof Response) return count
    return streamResponse(c, async ({ env }) => {
      env.outgoing.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      env.outgoing.flushHeaders()
      if (c.req.method === 'GET') await send(env.outgoing, count, ms)
      env.outgoing.end()
    })
  })

  async function send(outgoing: ServerResponse, count: number, ms: number): Promise<void> {
    const stop = disconnectSignal(outgoing, closing)
    for (let n = 1; n <= count; n++) {
      if (n > 1 && !(await pause(timers, ms, stop))) return
      // A reader that is slower than the events misses some; what it has not read yet does not pile up here.
      if (outgoing.writableNeedDrain) continue
      const data = JSON.stringify({ n, at: new Date(timers.now()).toISOString() })
      outgoing.write(`id: ${n}\nevent: tick\ndata: ${data}\n\n`)
    }
  }
}
