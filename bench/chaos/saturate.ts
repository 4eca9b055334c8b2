import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createBucket } from '../../src/limiter/plan.ts'
import { createRedisStore } from '../../src/stores/redis.ts'
import { type RedisServer, startRedis } from '../../test/fixtures/redis-server.ts'
import { LEASE_LIFE, mostAbove } from './bound.ts'
import { createCleanup, startLab } from './lab.ts'
import { startLoad } from './load.ts'
import type { Row } from './report.ts'
import type { Promised } from './run.ts'
import { decisionsBetween, sumOf } from './scrape.ts'

type Measurement = {
  readonly name: string
  readonly keys: number
  /** Of each key: `rate` as a policy writes it, and tokens a second. */
  readonly rate: string
  readonly perSecond: number
  readonly burst: number
  readonly lease: 'auto' | 'off'
  /** Requests a second; as many as are answered where left out. */
  readonly offered?: number
  /** Seconds at most. */
  readonly most?: number
  readonly promises: (seen: Seen) => readonly Promised[]
}

type Seen = {
  /** A second. */
  readonly requests: number
  readonly calls: number
  readonly share: number
  /** Of the key that got most: what passed beyond rate * T over any window, and altogether since it was full. */
  readonly above: number
  readonly fromFull: number
  readonly fallbacks: number
  readonly leased: number
}

const SHORT = 15
/** Seconds of load before Redis's calls are counted. */
const WARM = 2
const AMPLE = { rate: '1000/s', perSecond: 1000, burst: 1000, offered: 10_000, most: SHORT }

const bounded =
  (burst: number, perSecond: number) =>
  ({ share, above, fromFull, fallbacks }: Seen): readonly Promised[] => [
    { what: 'from a full bucket no more than burst + rate * T pass', holds: fromFull <= burst },
    {
      what: 'over any window no more than burst + rate * (T + 0.25) pass',
      holds: above <= burst + perSecond * LEASE_LIFE,
    },
    { what: '95 % of what is due pass', holds: share >= 0.95 },
    { what: 'every decision is taken with Redis', holds: fallbacks === 0 ? true : null },
  ]

export const MEASUREMENTS: readonly Measurement[] = [
  {
    name: 'one hot key',
    keys: 1,
    rate: '500/s',
    perSecond: 500,
    burst: 500,
    lease: 'auto',
    promises: bounded(500, 500),
  },
  { name: '1,000 keys', keys: 1000, rate: '2/s', perSecond: 2, burst: 4, lease: 'auto', promises: bounded(4, 2) },
  {
    name: '50 keys, ample',
    keys: 50,
    lease: 'auto',
    ...AMPLE,
    // Fewer requests need as many leases: slower, it cannot be told.
    promises: ({ calls, requests }) => [
      {
        what: 'at most 0.05 calls a request',
        holds: calls <= 0.05 || (requests >= 0.9 * AMPLE.offered ? false : null),
      },
    ],
  },
  { name: '1,000 keys, ample', keys: 1000, lease: 'auto', ...AMPLE, promises: () => [] },
  { name: '100,000 keys, ample', keys: 100_000, lease: 'auto', ...AMPLE, promises: () => [] },
  {
    name: '50 keys, ample, lease: off',
    keys: 50,
    lease: 'off',
    ...AMPLE,
    promises: ({ leased }) => [{ what: 'nothing is leased', holds: leased === 0 }],
  },
  {
    name: '50 empty buckets',
    keys: 50,
    rate: '1/h',
    perSecond: 1 / 3600,
    burst: 1,
    lease: 'auto',
    most: SHORT,
    promises: ({ calls }) => [{ what: 'a flood of refused requests costs Redis no calls', holds: calls === 0 }],
  },
]

const policyFor = (url: string, { rate, burst, lease }: Measurement, timeout: number) => `
version: 1
store: {kind: redis, url: "${url}", timeout: ${timeout}ms, lease: "${lease}"}
log: {access: "off"}
limits: [{name: network, per: network, rate: ${rate}, burst: ${burst}}]
`

/** Loads two proxies on one Redis, and says what passed and what that cost Redis. */
export async function measure(measurement: Measurement, options: { seconds: number; timeout: number }): Promise<Row> {
  const cleanup = createCleanup()
  try {
    const redis = await startRedis()
    cleanup.teardown(() => redis.stop())
    const lab = await startLab(cleanup, policyFor(redis.url, measurement, options.timeout))
    const { keys, perSecond, burst, offered, most } = measurement
    const load = startLoad({
      urls: lab.proxies.map(({ url }) => url),
      connections: 8,
      depth: 4,
      nextKey: () => Math.floor(Math.random() * keys),
      hasCookies: false,
      ...(offered === undefined ? {} : { perSecond: offered }),
    })
    const from = performance.now()
    await delay(WARM * 1000)
    const warm = { scrapes: await lab.scrape(), ...(await costOf(redis)) }
    await delay(1000 * (Math.min(most ?? options.seconds, options.seconds) - WARM))
    const scrapes = await lab.scrape()
    const cost = await costOf(redis)
    const lasted = (performance.now() - from) / 1000
    await load.stop()
    const decisions = decisionsBetween(warm.scrapes, scrapes)
    const calls = (cost.calls - warm.calls) / decisions.total
    const admitted = [...lab.arrivals.values()]
    const passed = admitted.reduce((sum, times) => sum + times.length, 0)
    const seen: Seen = {
      requests: decisions.total / (lasted - WARM),
      calls,
      share: passed / (keys * (burst + perSecond * lasted)),
      above: Math.max(...admitted.map((times) => mostAbove(times, perSecond))),
      fromFull: Math.max(...admitted.map((times) => times.length - (perSecond * (times.at(-1)! - from)) / 1000)),
      fallbacks: sumOf(scrapes, 'sluice_store_fallbacks_total'),
      leased: sumOf(scrapes, 'sluice_leased_tokens_total', { result: 'leased' }),
    }
    const isTight = offered === undefined && perSecond >= 1
    return {
      name: measurement.name,
      cells: {
        'requests/s': seen.requests.toFixed(0),
        'passed of due': isTight ? `${(100 * seen.share).toFixed(1)} %` : '',
        'most above rate * T': isTight ? `${seen.above.toFixed(1)} of ${burst} + ${perSecond * LEASE_LIFE}` : '',
        'Redis calls/request': calls.toFixed(4),
        'Redis us/request': ((cost.us - warm.us) / decisions.total).toFixed(2),
        'without Redis': String(seen.fallbacks),
      },
      promises: measurement.promises(seen),
    }
  } finally {
    await cleanup.close()
  }
}

/** How often Redis ran scripts, and for how long. */
async function costOf(redis: RedisServer): Promise<{ readonly calls: number; readonly us: number }> {
  const stats = [...(await redis.cli('info', 'commandstats')).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+),usec=(\d+)/g)]
  return {
    calls: stats.reduce((sum, [, calls]) => sum + Number(calls), 0),
    us: stats.reduce((sum, [, , us]) => sum + Number(us), 0),
  }
}

const IDLE = { count: 1_000_000, seconds: 90 }

/** Charges a million buckets once, and says what they take of Redis, and whether they go. */
export async function measureIdle(): Promise<Row> {
  const cleanup = createCleanup()
  try {
    const redis = await startRedis()
    cleanup.teardown(() => redis.stop())
    const servers = { kind: 'single', url: redis.url } as const
    const patience = { timeout: 60_000, connectTimeout: 1000 }
    const store = createRedisStore({ servers, password: null, tls: null, keyPrefix: 'sluice:', ...patience })
    cleanup.teardown(() => store.close())
    await store.opened
    const memory = async () => Number(/used_memory:(\d+)/.exec(await redis.cli('info', 'memory'))![1])
    const bucket = createBucket('device', { tokens: 1, seconds: IDLE.seconds }, 10)
    const before = await memory()
    for (let filled = 0; filled < IDLE.count; filled += 5000) {
      await Promise.all(
        Array.from({ length: 5000 }, () => {
          const id = randomBytes(16).toString('base64url')
          return store.charge([{ bucket, id, tag: 'net', cost: 1_000_000, group: 0, reserve: 0, floor: 0 }])
        }),
      )
    }
    const held = Number(await redis.cli('dbsize'))
    const whole = ((await memory()) - before) / held
    const sum = Number(await redis.cli('eval', SAMPLE, '0'))
    const deadline = performance.now() + 1000 * (IDLE.seconds + 15)
    while ((await redis.cli('dbsize')) !== '0' && performance.now() < deadline) await delay(500)
    const left = Number(await redis.cli('dbsize'))
    return {
      name: `${held} idle buckets`,
      cells: {
        'MEMORY USAGE of one': `${(sum / 1000).toFixed(1)} bytes`,
        'used_memory for each': `${whole.toFixed(1)} bytes`,
        [`left ${IDLE.seconds} s after the last`]: String(left),
      },
      promises: [
        { what: 'at most 100 bytes each by MEMORY USAGE', holds: sum / 1000 <= 100 },
        { what: 'none is left after its time', holds: left === 0 },
      ],
    }
  } finally {
    await cleanup.close()
  }
}

/** The bytes of a thousand keys drawn at random. */
const SAMPLE = `
local sum = 0
for i = 1, 1000 do sum = sum + redis.call('MEMORY', 'USAGE', redis.call('RANDOMKEY')) end
return sum`
