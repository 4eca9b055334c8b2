import type { Hono } from 'hono'
import type { DemoEnv } from './env.ts'
import { problem } from './problem.ts'
import { isProblemName, PROBLEM_TYPES } from './problem-types.ts'

const ROUTES: readonly (readonly [string, string])[] = [
  ['GET /items?page=&per_page=', 'a thousand items, paged'],
  ['GET /users, GET /users/:id', 'the users'],
  ['POST /users {"email", "name"?}', 'a new user; 409 when the email is taken'],
  [
    'POST /integrations {"partner", "payload"?}',
    '202 and a job; ?wait=1 calls the third party at once, to be compared',
  ],
  ['GET /jobs, GET /jobs/:id', 'where the jobs are'],
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
<dl>
${ROUTES.map(([route, what]) => `<dt><code>${route}</code></dt><dd>${what}</dd>`).join('\n')}
</dl>
</html>
`

/** `/`, a page that lists the routes; `/healthz`; and `/problems/:name`, what each problem type means. */
export function indexRoutes(app: Hono<DemoEnv>): void {
  app.get('/', (c) =>
    c.html(PAGE, 200, { 'Content-Security-Policy': "default-src 'none'", 'Cache-Control': 'no-cache' }),
  )

  app.get('/healthz', (c) => c.json({ status: 'ok' }, 200, { 'Cache-Control': 'no-store' }))

  app.get('/problems/:name', (c) => {
    const name = c.req.param('name')
    if (!isProblemName(name)) return problem(404, { detail: 'There is no problem type of this name.' })
    const { title, meaning } = PROBLEM_TYPES[name]
    return c.text(`${title}\n\n${meaning}\n`)
  })
}
