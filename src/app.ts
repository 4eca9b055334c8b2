import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { createApi } from './admin/api.ts'
import { createAuthFailures } from './admin/auth-failures.ts'
import { type Backstage, createBackstage } from './admin/backstage.ts'
import { createPageRoutes } from './admin/page-files.ts'
import { createAdminServer } from './admin/server.ts'
import { type Clock, monotonicClock } from './clock.ts'
import { SluiceError } from './errors.ts'
import { createExplain } from './explain/explain.ts'
import { createJwks } from './identity/jwks.ts'
import { createMembership } from './identity/membership.ts'
import { guardRoll, type RollAnswer, type RollCall } from './identity/roll.ts'
import { createLeases } from './limiter/leases.ts'
import { createLimiter } from './limiter/limiter.ts'
import { guardStore } from './limiter/outage.ts'
import type { Debit, SharedStore } from './limiter/store.ts'
import type { Logger } from './log.ts'
import type { MetricsSnapshot } from './metrics/aggregate.ts'
import { announceSeries, createMetrics, type Metrics } from './metrics/metrics.ts'
import { limitsOf } from './policy/preflight-limit.ts'
import { IGNORED, keepStartOnly, startOnlyChanges } from './policy/start-only.ts'
import type { HostPort, Policy, StorePolicy } from './policy/types.ts'
import { createOrders, type Order } from './proxy/orders.ts'
import { createRecentRefusals } from './proxy/recent-refusals.ts'
import { createProxy } from './proxy/server.ts'
import { createTopRefused } from './proxy/top-refused.ts'
import { createMemoryStore } from './stores/memory.ts'
import { createRedisStore } from './stores/redis.ts'

export type AppOptions = {
  readonly log: Logger
  readonly version: string
  readonly clock?: Clock
  /** Milliseconds since the epoch. */
  readonly wallMs?: () => number
  /** Between 0 and 1; spreads probes, jitter and samples. */
  readonly random?: () => number
  /** Log lines that were not taken, so far. */
  readonly droppedLines?: () => number
  /** The file of the policy; null where there is none. */
  readonly policyFile?: string | null
  /** Given where this is one process of several: the primary has the admin port, and tells of reloads. */
  readonly crew?: CrewSide
}

/** What a worker has of the others. */
export type CrewSide = {
  readonly workers: number
  /** Names all of them together in Via. */
  readonly instance: string
  /** The buckets that the primary keeps; null where each worker has the policy's own store. */
  readonly store: SharedBackend | null
  /** The bans and grants that the others have. */
  readonly orders: readonly Order[]
}

/** Buckets and a roll of members that are shared with other processes. */
export type SharedBackend = SharedStore & {
  members(call: RollCall): Promise<RollAnswer>
  /** Told of micro-tokens spent of a lease, by who wants to know what a process holds. */
  noteSpent?(lease: Debit, amount: number): void
  /** Resolves when it is known whether the store is there. Never rejects. */
  readonly opened: Promise<boolean>
}

export type App = {
  /** Where the proxied port and the admin port listen, `http://host:port`; a worker has no admin port. */
  readonly url: string
  readonly adminUrl: string
  /** What all metrics say now. */
  snapshot(): Promise<MetricsSnapshot>
  /** What the admin port needs of the proxy. */
  readonly backstage: Backstage
  /** Puts a new policy in force; balances stay. Listeners, upstream, store and secrets keep what they started with. */
  reload(policy: Policy): void
  /** Notes that a reload failed: the policy in force stays. */
  refuseReload(): void
  /** Counts an error that nobody caught. */
  countUncaught(): void
  /**
   * Ends in order: not ready, wait `drain_delay`, accept nothing new, finish what is under way within `drain_timeout`,
   * then cut what is left. Resolves when nothing is open any more; a second call returns the same promise.
   */
  close(): Promise<void>
}

/** The composition root: policy -> store -> limiter -> servers. Rejects with `listen_failed` when a port is taken. */
export async function startApp(policy: Policy, options: AppOptions): Promise<App> {
  const { log, clock = monotonicClock, random = Math.random, wallMs = Date.now, crew = null } = options
  const metrics = createMetrics({ version: options.version, node: process.version })
  const local = createMemoryStore({ maxBuckets: policy.store.maxBuckets, clock })
  const shared = await openSharedStore(policy, crew?.store ?? null, { log, clock, random, metrics })
  const limiter = createLimiter({
    local,
    shared: shared?.leases ?? null,
    onFallback: (action) => metrics.storeFallbacks.inc({ action }),
  })
  const jwks = createJwks({ clock, log })
  await jwks.open(keyAddresses(policy), 1000)
  const membership = createMembership({
    policy: policy.identity.admission,
    onAdmission: (result) => metrics.admissions.inc({ result }),
    roll: shared?.roll ?? null,
  })
  const orders = createOrders()
  for (const order of crew?.orders ?? []) orders.place(order, wallMs())
  const topRefused = createTopRefused(wallMs())
  const recentRefusals = createRecentRefusals(wallMs)
  const proxy = createProxy({
    ...{ policy, limiter, membership, metrics, log, clock, random, wallMs, jwks, crew },
    ...{ orders, topRefused, recentRefusals },
  })
  const explain = createExplain({
    ...{ rules: proxy.rules, via: proxy.via, membership, local, orders, wallMs },
    charge: shared?.chargeNow ?? null,
    roll: shared?.roll ?? null,
    jwks,
    nowUs: clock.nowUs,
  })
  const backstage = createBackstage({
    rules: proxy.rules,
    crowdSize: membership.crowdSize,
    local,
    shared: shared && { charge: shared.chargeNow, endLeases: shared.leases.renew },
    ...{ orders, topRefused, recentRefusals, explain, jwks, wallMs },
  })
  let isReady = true
  const { droppedLines = () => 0, policyFile = null } = options
  let countedFolds = 0
  let countedDrops = 0
  function snapshot(): Promise<MetricsSnapshot> {
    refresh()
    return metrics.registry.getMetricsAsJSON()
  }
  function refresh(): void {
    metrics.buckets.set(local.size())
    metrics.bucketFolds.inc(local.folds() - countedFolds)
    countedFolds = local.folds()
    metrics.droppedLines.inc(droppedLines() - countedDrops)
    countedDrops = droppedLines()
  }
  const admin =
    crew !== null
      ? null
      : createAdminServer({
          metrics,
          isReady: () => isReady,
          onScrape: refresh,
          isLoopback: isLoopback(policy.admin.host),
          onFault: (err) => log.error({ err }, 'a request of the admin port failed'),
          authFailures: createAuthFailures({ clock, log, onFailure: () => metrics.authFailures.inc() }),
          token: () => inForce.adminToken,
          routes: [
            ...createPageRoutes(),
            ...createApi({ backstage, snapshot, policy: () => inForce, policyFile, log, wallMs }),
          ],
        })
  let inForce = policy
  let closing: Promise<void> | undefined

  function reload(read: Policy): void {
    void jwks.open(keyAddresses(read), 0)
    const ignored = startOnlyChanges(read, policy)
    if (ignored.length > 0) log.warn({ keys: ignored }, IGNORED)
    const next = keepStartOnly(read, policy)
    proxy.use(next)
    membership.use(next.identity.admission)
    shared?.renew(next)
    inForce = next
    showPolicy(metrics, next, proxy.routes())
    metrics.reloads.inc({ result: 'success' })
    if (crew === null) log.info({ policy: next.hash, limits: next.limits.length }, 'policy in force')
  }

  async function end(): Promise<void> {
    isReady = false
    const { drainDelay, drainTimeout } = inForce.server
    if (drainDelay > 0) await new Promise((resolve) => setTimeout(resolve, drainDelay))
    const cut = setTimeout(proxy.cut, drainTimeout)
    await proxy.drain()
    clearTimeout(cut)
    jwks.close()
    await proxy.close()
    await Promise.all([shared?.close(), local.close()])
    if (admin !== null) await closeAdmin(admin)
  }

  try {
    await listen(proxy.server, policy.listen, 'listen', log)
    if (admin !== null) await listen(admin, policy.admin, 'admin', log)
  } catch (cause) {
    proxy.server.close()
    jwks.close()
    await proxy.close()
    await shared?.close()
    throw cause
  }
  showPolicy(metrics, policy, proxy.routes())
  metrics.reloads.inc({ result: 'success' })
  metrics.workers.set(1)
  return {
    url: urlOf(proxy.server),
    adminUrl: admin === null ? '' : urlOf(admin),
    snapshot,
    backstage,
    reload,
    refuseReload() {
      metrics.reloadSuccessful.set(0)
      metrics.reloads.inc({ result: 'failure' })
    },
    countUncaught: () => metrics.uncaught.inc(),
    close() {
      closing ??= end()
      return closing
    },
  }
}

type StoreContext = {
  readonly log: Logger
  readonly clock: Clock
  readonly random: () => number
  readonly metrics: Metrics
}

/** Milliseconds that a worker waits for its primary: late, it is busy or stopped; dead, it ends its workers. */
const PRIMARY_TIMEOUT = 1000

/**
 * Opens the store that several instances share, or takes that of the primary, and puts it behind its guard; null where
 * the policy keeps buckets in process, and there is one.
 */
async function openSharedStore(
  policy: Policy,
  primary: SharedBackend | null,
  { log, clock, random, metrics }: StoreContext,
) {
  metrics.storeUp.set(1)
  metrics.storeBreaker.set(0)
  const store = primary ?? openRedis(policy.store)
  if (store === null) return null
  const timeout = policy.store.kind === 'redis' ? policy.store.timeout : PRIMARY_TIMEOUT
  const guarded = guardStore(store, {
    isAway: !(await store.opened),
    timeout,
    clock,
    random,
    events: {
      called(result, us) {
        metrics.storeCalls.count(result)
        metrics.storeSeconds.observe('', us / 1e6)
      },
      changed(state, cause) {
        metrics.storeUp.set(state === 'closed' ? 1 : 0)
        metrics.storeBreaker.set(state === 'closed' ? 0 : 1)
        if (state === 'closed') log.info('the store answers again')
        else
          log.error(
            { cause: String(cause), on_error: policy.store.kind === 'redis' ? policy.store.onError : 'local' },
            'the store is away: limits go on without it',
          )
      },
    },
  })
  let exact = exactNames(policy)
  const leases = createLeases({
    guard: guarded,
    giveBack: store.giveBack,
    clock,
    timeout,
    isExact: (bucketName) => exact.has(bucketName.split('+')[0]!),
    onTokens: (result, tokens) => metrics.leasedTokens.count(result, '', tokens),
    onSpent: store.noteSpent,
  })
  return {
    leases,
    /** Past the leases. */
    chargeNow: (debits: readonly Debit[]) => guarded.charge(debits),
    roll: guardRoll(guarded, store.members, timeout),
    /** Another policy is in force: what was leased or known under the last one ends. */
    renew(next: Policy) {
      exact = exactNames(next)
      leases.renew()
    },
    async close() {
      const returned = leases.close()
      guarded.close()
      await Promise.race([returned, new Promise((resolve) => setTimeout(resolve, timeout).unref())])
      await store.close()
    },
  }
}

function openRedis(store: StorePolicy): SharedBackend | null {
  if (store.kind === 'memory') return null
  const { servers, password, tls, keyPrefix, timeout } = store
  return createRedisStore({ servers, password, tls, keyPrefix, timeout, connectTimeout: 1000 })
}

/** Where the keys of issuers are fetched from. */
function keyAddresses({ identity }: Policy): string[] {
  return identity.jwt.flatMap(({ keys }) => ('url' in keys ? [keys.url] : []))
}

/** The limits whose every request asks the store. */
function exactNames(policy: Policy): ReadonlySet<string> {
  return new Set(
    limitsOf(policy)
      .filter(({ lease }) => lease === 'off')
      .map(({ name }) => name),
  )
}

/** Shows a policy that is in force. */
export function showPolicy(metrics: Metrics, policy: Policy, routes: readonly string[]): void {
  const limits = limitsOf(policy)
  announceSeries(
    metrics,
    routes,
    limits.map(({ name }) => name),
  )
  metrics.limitBurst.reset()
  metrics.limitRate.reset()
  for (const { name, burst, rate } of limits) {
    metrics.limitBurst.set({ limit: name }, burst)
    metrics.limitRate.set({ limit: name }, rate.tokens / rate.seconds)
  }
  metrics.reloadSuccessful.set(1)
  metrics.reloadTime.setToCurrentTime()
}

/** Rejects with `listen_failed` when the address cannot be had. */
export function listen(server: Server, { host, port }: HostPort, key: string, log: Logger): Promise<void> {
  return new Promise((resolve, reject) => {
    function refuse(cause: NodeJS.ErrnoException): void {
      const why = cause.code === 'EADDRINUSE' ? `it is taken; set ${key} to a free one` : cause.message
      reject(new SluiceError('listen_failed', `${key}: cannot listen on ${host}:${port}: ${why}`, { cause }))
    }
    server.once('error', refuse)
    server.listen(port, host, () => {
      server.off('error', refuse)
      server.on('error', (err) => log.error({ err }, 'a listener failed'))
      resolve()
    })
  })
}

export function urlOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`
}

export async function closeAdmin(admin: Server): Promise<void> {
  const closed = once(admin, 'close')
  admin.close()
  admin.closeAllConnections()
  await closed
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
