import { readFileSync } from 'node:fs'
import { Cluster, Redis } from 'ioredis'

/** Where Redis is, and how it is spoken to. */
export type RedisClientOptions = {
  readonly servers: /** `redis[s]://[user[:password]@]host[:port][/db]` */
    | { readonly kind: 'single'; readonly url: string }
    /** Nodes as above, of which the first says user, password and scheme for all. */
    | { readonly kind: 'cluster'; readonly nodes: readonly string[] }
    | {
        readonly kind: 'sentinel'
        readonly name: string
        readonly nodes: readonly { readonly host: string; readonly port: number }[]
      }
  /** Of the servers, where their addresses hold none. */
  readonly password: string | null
  /** TLS where not null: `ca` are the certificates (PEM) to trust, null for the public ones. */
  readonly tls: { readonly ca: string | null } | null
  /** Milliseconds a new connection may take. */
  readonly connectTimeout: number
}

export type RedisClient = {
  /** Run charge.lua and members.lua on one server; reject with why there is none, or with what the server said. */
  readonly charge: RunScript
  readonly members: RunScript
  /** Resolves when the first attempt to connect has ended: whether Redis was there. Never rejects. */
  readonly opened: Promise<boolean>
  close(): void
}

type RunScript = (keys: readonly (string | Buffer)[], args: readonly (string | Buffer | number)[]) => Promise<number[]>

type Scripts = Record<
  'chargeBuckets' | 'callMembers',
  (keyCount: number, ...keysAndArgs: (string | Buffer | number)[]) => Promise<number[]>
>

/** Milliseconds without an answer after which a connection counts as dead: of a machine that is gone no end is ever told. */
const SILENCE = 3000
/** Milliseconds that a closed connection may hold the process up; ioredis waits as long even where there was none. */
const LINGER = 100
/** Milliseconds between two looks at a cluster's slots: a node that died says nothing of who took them over. */
const SLOTS_INTERVAL = 1000

/**
 * Connects to one Redis, to the primary that sentinels name, or to a cluster. Starting while it is away works: calls reject
 * at once, for nothing queues up in the client and nothing is sent twice (a charge may have been done, though its answer is
 * lost), until it is there.
 */
export function createRedisClient(options: RedisClientOptions): RedisClient {
  const redis = connect(options)
  redis.defineCommand('chargeBuckets', { lua: readScript('charge.lua') })
  redis.defineCommand('callMembers', { lua: readScript('members.lua') })
  const scripts = redis as unknown as Scripts
  let isClosed = false
  // Why there is no connection: a call that fails for want of one says only that.
  let lastError: Error | undefined
  // Without a listener ioredis prints every failed reconnection itself.
  redis.on('error', (cause: Error) => {
    lastError = deepest(cause)
  })
  redis.on('ready', () => {
    lastError = undefined
  })
  // News of a failover that come while the sentinels are being asked end an ioredis client for good, whatever the retry strategy.
  redis.on('end', () => {
    if (!isClosed) setTimeout(() => !isClosed && redis.connect().catch(() => {}), backoff(0)).unref()
  })
  const opened = new Promise<boolean>((resolve) => {
    // A server that accepts the connection and then says nothing would never end the attempt.
    const silent = setTimeout(end, options.connectTimeout, false)
    redis.once('ready', () => end(true))
    redis.once('close', () => end(false))
    function end(isReady: boolean): void {
      clearTimeout(silent)
      resolve(isReady)
    }
  })

  async function run(name: keyof Scripts, ...[keys, args]: Parameters<RunScript>): Promise<number[]> {
    try {
      return await scripts[name](keys.length, ...keys, ...args)
    } catch (error) {
      const cause = error as Error
      if (isReadOnly(cause)) lastError = cause
      throw cause.name === 'ReplyError' ? cause : (lastError ?? cause)
    }
  }

  return {
    charge: (keys, args) => run('chargeBuckets', keys, args),
    members: (keys, args) => run('callMembers', keys, args),
    opened,
    close() {
      isClosed = true
      redis.disconnect()
    },
  }
}

function readScript(name: string): string {
  return readFileSync(new URL(name, import.meta.url), 'utf8')
}

function connect({ servers, password, tls, connectTimeout }: RedisClientOptions): Redis | Cluster {
  const secure = tls === null ? null : tls.ca === null ? {} : { ca: tls.ca }
  const shared = {
    ...(password === null ? {} : { password }),
    ...(secure === null ? {} : { tls: secure }),
    connectTimeout,
    socketTimeout: SILENCE,
    disconnectTimeout: LINGER,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A primary that became a replica keeps its connections: only a new one finds who is primary now.
    reconnectOnError: isReadOnly,
  }
  if (servers.kind === 'cluster') {
    const { username, password: inUrl } = new URL(servers.nodes[0]!)
    return new Cluster([...servers.nodes], {
      redisOptions: {
        ...(username === '' ? {} : { username: decodeURIComponent(username) }),
        ...(inUrl === '' ? {} : { password: decodeURIComponent(inUrl) }),
        ...shared,
      },
      enableOfflineQueue: false,
      clusterRetryStrategy: backoff,
      maxRedirections: 4,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      retryDelayOnTryAgain: 2,
      slotsRefreshInterval: SLOTS_INTERVAL,
      slotsRefreshTimeout: connectTimeout,
    })
  }
  const alone = { ...shared, enableOfflineQueue: false, retryStrategy: backoff }
  if (servers.kind === 'single') return new Redis(servers.url, alone)
  return new Redis({
    ...alone,
    name: servers.name,
    sentinels: servers.nodes.map(({ host, port }) => ({ host, port })),
    sentinelRetryStrategy: backoff,
    // One that hangs accepts connections and says nothing.
    sentinelCommandTimeout: connectTimeout,
    // A primary that was cut off goes on answering: the sentinels tell when another took over.
    failoverDetector: true,
    ...(secure === null ? {} : { enableTLSForSentinelMode: true, sentinelTLS: secure }),
  })
}

/** Spread over instances, so that a Redis that comes back is not met by all of them at once. */
function backoff(times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 5), 1000) * (0.5 + Math.random())
}

function isReadOnly({ message }: Error): boolean {
  return message.includes('READONLY')
}

/** A cluster's error says only that no node could be asked; the last one's says why. */
function deepest(cause: Error & { readonly lastNodeError?: Error }): Error {
  return cause.lastNodeError ?? cause
}
