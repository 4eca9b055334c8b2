import { randomBytes } from 'node:crypto'
import { createApi } from '../admin/api.ts'
import { createAuthFailures } from '../admin/auth-failures.ts'
import { createPageRoutes } from '../admin/page-files.ts'
import { createAdminServer } from '../admin/server.ts'
import { type App, type AppOptions, closeAdmin, isLoopback, listen, showPolicy, urlOf } from '../app.ts'
import { monotonicClock } from '../clock.ts'
import { addEnded, aggregateMetrics, type MetricsSnapshot } from '../metrics/aggregate.ts'
import { createMetrics } from '../metrics/metrics.ts'
import { IGNORED, keepStartOnly, startOnlyChanges } from '../policy/start-only.ts'
import type { Policy } from '../policy/types.ts'
import { createOrders } from '../proxy/orders.ts'
import { routesOf } from '../proxy/rules.ts'
import { createCrew, type Member } from './crew.ts'
import { createCrewBackstage } from './crew-backstage.ts'
import { createLending } from './lending.ts'
import { packPolicy, shareOf } from './pack-policy.ts'

export type PrimaryOptions = Pick<AppOptions, 'log' | 'version' | 'droppedLines' | 'policyFile'> & {
  readonly workers: number
  /** Takes what workers write to standard output, whole lines only. */
  readonly write: (lines: string) => void
}

/** How long (milliseconds) a scrape waits for a worker's metrics; beyond it those that it told last count. */
const SCRAPE_PATIENCE = 1000
/** A reload is told of when all workers have it in force, or after this long. */
const RELOAD_PATIENCE = 5000
/** How long the workers may take beyond `drain_timeout` to end. */
const LAST_STEPS = 3000

/**
 * The composition root of an instance with several workers. The primary takes no request: it keeps
 * the buckets and the roll of members where the store is memory, and has the admin port. Rejects with `listen_failed`.
 */
export async function startPrimary(policy: Policy, options: PrimaryOptions): Promise<App> {
  const { log, workers, write, droppedLines = () => 0, policyFile = null } = options
  const metrics = createMetrics({ version: options.version, node: process.version })
  const lending =
    policy.store.kind === 'memory'
      ? createLending({ maxBuckets: policy.store.maxBuckets, clock: monotonicClock })
      : null
  const instance = randomBytes(4).toString('hex')
  const orders = createOrders()
  const told = new Map<Member, MetricsSnapshot>()
  let ended: MetricsSnapshot = []
  let current = policy
  let countedFolds = 0
  let countedDrops = 0
  let closing: Promise<void> | undefined
  /** Reloads are told of in their order, a refused one after those before it that are on their way. */
  let telling: Promise<unknown> = Promise.resolve()

  const crew = createCrew({
    size: workers,
    log,
    write,
    begin: (worker) => ({
      ...{ worker, workers, instance },
      policy: packPolicy(shareOf(current, workers)),
      orders: orders.list(Date.now()),
    }),
    serve(member) {
      const loans = lending?.open()
      told.set(member, [])
      return {
        charge: (requests, spent) => loans!.charge(requests, spent),
        members: (call) => loans!.members(call),
        end() {
          loans?.end()
          ended = addEnded(ended, told.get(member)!)
          told.delete(member)
        },
      }
    },
    onDeath: () => metrics.workerDeaths.inc(),
  })
  const backstage = createCrewBackstage(crew.askAll, orders)
  const snapshot = async () => (await gather()).getMetricsAsJSON()
  const admin = createAdminServer({
    metrics: {
      registry: { metrics: async () => (await gather()).metrics(), contentType: metrics.registry.contentType },
    },
    isReady: () => closing === undefined && crew.listening() > 0,
    onScrape() {},
    isLoopback: isLoopback(policy.admin.host),
    onFault: (err) => log.error({ err }, 'a request of the admin port failed'),
    authFailures: createAuthFailures({ clock: monotonicClock, log, onFailure: () => metrics.authFailures.inc() }),
    token: () => current.adminToken,
    routes: [
      ...createPageRoutes(),
      ...createApi({ backstage, snapshot, policy: () => current, policyFile, log, wallMs: Date.now }),
    ],
  })

  async function gather(): Promise<ReturnType<typeof aggregateMetrics>> {
    for (const { member, answer } of await crew.askAll('metrics', SCRAPE_PATIENCE)) {
      if (told.has(member)) told.set(member, answer)
    }
    metrics.workers.set(crew.listening())
    if (lending !== null) {
      metrics.buckets.set(lending.store.size())
      metrics.bucketFolds.inc(lending.store.folds() - countedFolds)
      countedFolds = lending.store.folds()
    }
    metrics.droppedLines.inc(droppedLines() - countedDrops)
    countedDrops = droppedLines()
    return aggregateMetrics(await metrics.registry.getMetricsAsJSON(), [...told.values()], ended)
  }

  /** Makes known a policy that all workers have in force. */
  function show(shown: Policy): void {
    showPolicy(metrics, shown, routesOf(shown))
    metrics.reloads.inc({ result: 'success' })
  }

  async function end(): Promise<void> {
    const { drainDelay, drainTimeout } = current.server
    if (drainDelay > 0) await new Promise((resolve) => setTimeout(resolve, drainDelay))
    await crew.close(drainTimeout + LAST_STEPS)
    await closeAdmin(admin)
  }

  const url = await crew.open()
  try {
    await listen(admin, policy.admin, 'admin', log)
  } catch (cause) {
    await crew.close(0)
    throw cause
  }
  metrics.storeUp.set(1)
  metrics.storeBreaker.set(0)
  show(policy)
  return {
    url,
    adminUrl: urlOf(admin),
    snapshot,
    backstage,
    reload(read) {
      const ignored = startOnlyChanges(read, policy)
      if (ignored.length > 0) log.warn({ keys: ignored }, IGNORED)
      const next = keepStartOnly(read, policy)
      current = next
      const reloaded = crew.askAll('reload', RELOAD_PATIENCE, packPolicy(shareOf(next, workers)))
      telling = Promise.all([telling, reloaded]).then(() => {
        show(next)
        log.info({ policy: next.hash, limits: next.limits.length }, 'policy in force')
      })
    },
    refuseReload() {
      telling = telling.then(() => {
        metrics.reloadSuccessful.set(0)
        metrics.reloads.inc({ result: 'failure' })
      })
    },
    countUncaught: () => metrics.uncaught.inc(),
    close() {
      closing ??= end()
      return closing
    },
  }
}
