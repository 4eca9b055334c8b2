import { STATUS_CODES } from 'node:http'
import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { problem } from './problem.ts'
import { wholeQuery } from './query.ts'

/** The answers that have no body (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5). */
const BODILESS = new Set([204, 205, 304])
const MAX_RETRY_AFTER_SECONDS = 86_400

/** `/status/:code` by any method: answers with that code, and with Retry-After when `?retry_after=` says so. */
export function statusRoutes(app: Hono<DemoEnv>): void {
  app.all('/status/:code', (c) => {
    const text = c.req.param('code')
    const code = /^[2-5]\d\d$/.test(text) ? Number(text) : undefined
    if (code === undefined) {
      const detail = `'${text.slice(0, 40)}' is no status to answer with; write 200 to 599`
      return problem(422, { detail })
    }
    const headers: Record<string, string> = { 'cache-control': 'private, max-age=0' }
    if (c.req.query('retry_after') !== undefined) {
      const seconds = wholeQuery(c, 'retry_after', { min: 0, max: MAX_RETRY_AFTER_SECONDS })
      if (seconds instanceof Response) return seconds
      headers['retry-after'] = String(seconds)
    }
    if (BODILESS.has(code)) return new Response(null, { status: code, headers })
    if (code >= 400) return problem(code, { detail: 'The status that was asked for.' }, headers)
    return Response.json({ status: code, title: STATUS_CODES[code] ?? null }, { status: code, headers })
  })
}
