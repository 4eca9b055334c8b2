import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { createAdminServer } from './admin/server.ts'
import { type Clock, monotonicClock } from './clock.ts'
import { SluiceError } from './errors.ts'
import { createJwks } from './identity/jwks.ts'
import { createMembership } from './identity/membership.ts'
import { guardRoll } from './identity/roll.ts'
import { createLeases } from './limiter/leases.ts'
import { createLimiter } from './limiter/limiter.ts'
import { guardStore } from './limiter/outage.ts'
import type { Logger } from './log.ts'
import { announceSeries, createMetrics, type Metrics } from './metrics/metrics.ts'
import type { HostPort, Policy } from './policy/types.ts'
import { createProxy } from './proxy/server.ts'
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
}

export type App = {
  /** Where the proxied port and the admin port listen, `http://host:port`. */
  readonly url: string
  readonly adminUrl: string
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
  const { log, clock = monotonicClock, random = Math.random, wallMs = Date.now } = options
  const metrics = createMetrics({ version: options.version, node: process.version })
  const local = createMemoryStore({ maxBuckets: policy.store.maxBuckets, clock })
  const shared = await openSharedStore(policy, { log, clock, random, metrics })
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
  const proxy = createProxy({ policy, limiter, membership, metrics, log, clock, random, wallMs, jwks })
  let isReady = true
  const { droppedLines = () => 0 } = options
  let countedFolds = 0
  let countedDrops = 0
  const admin = createAdminServer({
    metrics,
    isReady: () => isReady,
    onScrape() {
      metrics.buckets.set(local.size())
      metrics.bucketFolds.inc(local.folds() - countedFolds)
      countedFolds = local.folds()
      metrics.droppedLines.inc(droppedLines() - countedDrops)
      countedDrops = droppedLines()
    },
    isLoopback: isLoopback(policy.admin.host),
  })
  let drain = policy.server
  let closing: Promise<void> | undefined

  function reload(read: Policy): void {
    void jwks.open(keyAddresses(read), 0)
    const ignored = startOnlyChanges(read, policy)
    if (ignored.length > 0) log.warn({ keys: ignored }, 'these keys are read at the start only: restart to change them')
    const next = { ...read, identity: { ...read.identity, secrets: policy.identity.secrets } }
    proxy.use(next)
    membership.use(next.identity.admission)
    shared?.renew(next)
    drain = next.server
    showPolicy(metrics, next, proxy.routes())
    metrics.reloads.inc({ result: 'success' })
    log.info({ policy: next.hash, limits: next.limits.length }, 'policy in force')
  }

  async function end(): Promise<void> {
    isReady = false
    if (drain.drainDelay > 0) await new Promise((resolve) => setTimeout(resolve, drain.drainDelay))
    const cut = setTimeout(proxy.cut, drain.drainTimeout)
    await proxy.drain()
    clearTimeout(cut)
    jwks.close()
    await proxy.close()
    await Promise.all([shared?.close(), local.close()])
    const adminClosed = once(admin, 'close')
    admin.close()
    admin.closeAllConnections()
    await adminClosed
  }

  try {
    await listen(proxy.server, policy.listen, 'listen', log)
    await listen(admin, policy.admin, 'admin', log)
  } catch (cause) {
    proxy.server.close()
    jwks.close()
    await proxy.close()
    await shared?.close()
    throw cause
  }
  showPolicy(metrics, policy, proxy.routes())
  metrics.reloads.inc({ result: 'success' })
  return {
    url: urlOf(proxy.server),
    adminUrl: urlOf(admin),
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

/**
 * The keys, as the policy file writes them, that differ from those the process started with and that a reload leaves as they
 * were. The secret is one: it names the buckets, and another would hand every client a full one.
 */
function startOnlyChanges(next: Policy, first: Policy): string[] {
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  const drain = { drainDelay: 0, drainTimeout: 0 }
  const areBothRandom = next.identity.secretIsRandom && first.identity.secretIsRandom
  const same: Record<string, boolean> = {
    listen: isSame(next.listen, first.listen),
    admin: isSame(next.admin, first.admin),
    upstream: isSame(next.upstream, first.upstream),
    server: isSame({ ...next.server, ...drain }, { ...first.server, ...drain }),
    store: isSame(next.store, first.store),
    'identity.secret': areBothRandom || isSame(next.identity.secrets, first.identity.secrets),
    'log.level': next.log.level === first.log.level,
  }
  return Object.keys(same).filter((key) => !same[key])
}

type StoreContext = {
  readonly log: Logger
  readonly clock: Clock
  readonly random: () => number
  readonly metrics: Metrics
}

/** Opens the store that several instances share, behind its guard; null where the policy keeps buckets in process. */
async function openSharedStore(policy: Policy, { log, clock, random, metrics }: StoreContext) {
  metrics.storeUp.set(1)
  metrics.storeBreaker.set(0)
  if (policy.store.kind === 'memory') return null
  const { servers, password, tls, keyPrefix, timeout, onError } = policy.store
  const store = createRedisStore({ servers, password, tls, keyPrefix, timeout, connectTimeout: 1000 })
  const guarded = guardStore(store, {
    isAway: !(await store.opened),
    timeout,
    clock,
    random,
    events: {
      called(result, us) {
        metrics.storeCalls.inc({ result })
        metrics.storeSeconds.observe(us / 1e6)
      },
      changed(state, cause) {
        metrics.storeUp.set(state === 'closed' ? 1 : 0)
        metrics.storeBreaker.set(state === 'closed' ? 0 : 1)
        if (state === 'closed') log.info('the store answers again')
        else log.error({ cause: String(cause), on_error: onError }, 'the store is away: limits go on without it')
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
    onTokens: (result, tokens) => metrics.leasedTokens.inc({ result }, tokens),
  })
  return {
    leases,
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

/** Where the keys of issuers are fetched from. */
function keyAddresses({ identity }: Policy): string[] {
  return identity.jwt.flatMap(({ keys }) => ('url' in keys ? [keys.url] : []))
}

/** The limits whose every request asks the store. */
function exactNames(policy: Policy): ReadonlySet<string> {
  return new Set(policy.limits.filter(({ lease }) => lease === 'off').map(({ name }) => name))
}

function showPolicy(metrics: Metrics, policy: Policy, routes: readonly string[]): void {
  announceSeries(
    metrics,
    routes,
    policy.limits.map(({ name }) => name),
  )
  metrics.limitBurst.reset()
  metrics.limitRate.reset()
  for (const { name, burst, rate } of policy.limits) {
    metrics.limitBurst.set({ limit: name }, burst)
    metrics.limitRate.set({ limit: name }, rate.tokens / rate.seconds)
  }
  metrics.reloadSuccessful.set(1)
  metrics.reloadTime.setToCurrentTime()
}

function listen(server: Server, { host, port }: HostPort, key: string, log: Logger): Promise<void> {
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

function urlOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
