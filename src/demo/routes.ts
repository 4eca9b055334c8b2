import { Hono } from 'hono'
import type { Logger } from 'pino'
import { type ErrorCode, SluiceError } from '../errors.ts'
import { bytesRoutes } from './bytes.ts'
import { echoRoutes } from './echo.ts'
import { eventRoutes } from './events.ts'
import type { DemoEnv } from './hono-env.ts'
import { indexRoutes } from './index-page.ts'
import { type IntegrationOptions, integrationRoutes } from './integrations.ts'
import { itemRoutes } from './items.ts'
import { type JobRoutesOptions, jobRoutes } from './job-routes.ts'
import { type DemoMetrics, metricsRoutes } from './metrics.ts'
import { problem } from './problem.ts'
import { slowRoutes } from './slow.ts'
import { statusRoutes } from './status.ts'
import type { Timers } from './timers.ts'
import { type ConflictOptions, userRoutes } from './user-routes.ts'

const AWAY: ReadonlySet<string> = new Set<ErrorCode>(['queue_unavailable', 'store_unavailable'])
const AWAY_RETRY_AFTER_SECONDS = '5'

/** What all the routes together stand on. */
export type RoutesOptions = ConflictOptions &
  IntegrationOptions &
  JobRoutesOptions & {
    readonly timers: Timers
    readonly log: Logger
    readonly metrics: Pick<DemoMetrics, 'text'>
    /** Ends the answers that have no end of their own. */
    readonly closing: AbortSignal
  }

/** Every route of the demo. Each error it answers with is a problem (RFC 9457); none shows a stack. */
export function createRoutes(options: RoutesOptions): Hono<DemoEnv> {
  const app = new Hono<DemoEnv>()
  indexRoutes(app)
  itemRoutes(app)
  userRoutes(app, options)
  integrationRoutes(app, options)
  jobRoutes(app, options)
  echoRoutes(app)
  statusRoutes(app)
  slowRoutes(app, options.timers)
  eventRoutes(app, options.timers, options.closing)
  bytesRoutes(app)
  metricsRoutes(app, options.metrics)
  app.get('/ws', () => {
    return problem(
      426,
      { detail: 'Open a WebSocket here (RFC 6455).' },
      { upgrade: 'websocket', connection: 'upgrade' },
    )
  })
  refuseOtherMethods(app)
  app.notFound(() => problem(404, { detail: 'There is nothing here; GET / lists what there is.' }))
  const outage = createOutageLog(options.log)
  app.onError((error, c) => {
    if (error instanceof SluiceError && AWAY.has(error.code)) {
      outage(error)
      const detail = 'What keeps the work or the data does not answer; nothing was accepted.'
      return problem(503, { type: 'away', detail }, { 'retry-after': AWAY_RETRY_AFTER_SECONDS })
    }
    // The client went while it was still sending: nobody's fault, and nobody to answer.
    if (c.env.outgoing.destroyed) options.log.debug({ err: error }, 'a client went away')
    else options.log.error({ err: error, method: c.req.method, route: c.req.routePath }, 'a route failed')
    return problem(500, { detail: 'Something went wrong in the demo; its log says what.' })
  })
  return app
}

/** One line a minute says why, however many ask. */
function createOutageLog(log: Logger): (error: SluiceError) => void {
  let lastMs = Number.NEGATIVE_INFINITY
  return (error) => {
    if (performance.now() - lastMs < 60_000) return
    lastMs = performance.now()
    log.error({ err: error }, error.message)
  }
}

/** 405 with Allow (RFC 9110 section 15.5.6) on each path, for the methods that no route before has taken. */
function refuseOtherMethods(app: Hono<DemoEnv>): void {
  const allowed = new Map<string, Set<string>>()
  for (const { path, method } of app.routes) {
    const methods = allowed.get(path) ?? new Set()
    allowed.set(path, methods.add(method))
    if (method === 'GET') methods.add('HEAD')
  }
  for (const [path, methods] of allowed) {
    const allow = [...methods].join(', ')
    app.all(path, (c) => problem(405, { detail: `${c.req.method} is not for this path; use ${allow}.` }, { allow }))
  }
}
