import { readFileSync } from 'node:fs'
import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { problem } from './problem.ts'
import { isProblemName, PROBLEM_TYPES } from './problem-types.ts'

const ROUTES: readonly (readonly [string, string])[] = [
  ['GET /items?page=&per_page=', 'a thousand items, paged'],
  ['/', 'a page to try it all on'],
  ['GET /users, GET /users/:id', 'the users'],
  ['POST /users {"email", "name"?}', 'a new user; 409 when the email is taken'],
  [
    'POST /integrations {"partner", "payload"?}',
    '202 and a job; ?wait=1 calls the third party at once, to be compared',
  ],
  ['PUT /users/:id {"email", "name"?}', 'with If-Match: 412 when it has changed meanwhile'],
  ['GET /jobs, GET /jobs/:id', 'where the jobs are'],
  ['GET /jobs/:id/events', 'each change of a job, as server-sent events'],
  ['GET /metrics', 'for Prometheus'],
  ['GET /slow?ms=', 'an answer after so many milliseconds'],
  ['GET /sse?ms=&count=', 'server-sent events'],
  ['/ws', 'a WebSocket that echoes'],
  ['/echo, /echo/…', 'the request as it arrived, as JSON'],
  ['/status/:code?retry_after=', 'an answer of that status'],
  ['GET /bytes?n=', 'so many bytes'],
  ['POST /upload', 'counts the bytes of the body'],
  ['GET /healthz', 'whether the demo is up'],
]

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sluice demo upstream</title>
<h1>Sluice demo upstream</h1>
<link rel="stylesheet" href="/page.css">
<dl>
${ROUTES.map(([route, what]) => `<dt><code>${route}</code></dt><dd>${what}</dd>`).join('\n')}
</dl>
</html>
`

/** What a page may do here: load what lies beside it, and ask this server. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const FILES: readonly (readonly [path: string, file: string, type: string])[] = [
  ['/', 'index.html', 'text/html'],
  ['/page.css', 'page.css', 'text/css'],
  ['/page.js', 'page.js', 'text/javascript'],
]

/**
 * `/`, the page to try it all on, and its two files; `/routes`, which lists the routes; `/healthz`; and
 * `/problems/:name`, what each problem type means.
 */
export function indexRoutes(app: Hono<DemoEnv>): void {
  for (const [path, file, type] of FILES) {
    const text = readFileSync(new URL(`page/${file}`, import.meta.url), 'utf8')
    // Not shareable, so that a proxy may add each client's own rate fields.
    const headers = { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'private, no-cache' }
    app.get(path, () => new Response(text, { headers: { ...headers, 'content-security-policy': POLICY } }))
  }

  // A browser asks for it by itself.
  app.get('/favicon.ico', () => new Response(null, { status: 204, headers: { 'cache-control': 'max-age=86400' } }))

  app.get('/routes', (c) =>
    c.html(PAGE, 200, { 'Content-Security-Policy': POLICY, 'Cache-Control': 'private, no-cache' }),
  )

  app.get('/healthz', (c) => c.json({ status: 'ok' }, 200, { 'Cache-Control': 'no-store' }))

  app.get('/problems/:name', (c) => {
    const name = c.req.param('name')
    if (!isProblemName(name)) return problem(404, { detail: 'There is no problem type of this name.' })
    const { title, meaning } = PROBLEM_TYPES[name]
    return c.text(`${title}\n\n${meaning}\n`)
  })
}
