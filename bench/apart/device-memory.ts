import { setTimeout as delay } from 'node:timers/promises'
import { TOKEN } from '../../src/limiter/bucket.ts'
import type { Debit } from '../../src/limiter/store.ts'
import { createRedisStore } from '../../src/stores/redis.ts'
import { startRedis } from '../../test/fixtures/redis-server.ts'
import { createEngine, newIdentity, plansOf } from './engine.ts'

/** Bytes that one tracked device costs, in process and in Redis; a process of its own, started with --expose-gc, prints them. */

const DEVICES = 1_000_000
const DEVICES_IN_REDIS = 100_000
const BATCH = 1000

const plans = plansOf('  - {name: device, per: device, rate: 10/h, burst: 10}\n')

function heldBytes(): number {
  global.gc!()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function inProcess(): number {
  const { store, limiter } = createEngine()
  const before = heldBytes()
  for (let i = 0; i < DEVICES; i++) limiter.decide(newIdentity('principal'), plans, 'enforce')
  if (store.size() !== DEVICES) throw new Error(`${store.size()} buckets, not ${DEVICES}`)
  const bytes = (heldBytes() - before) / DEVICES
  // The engine is used once more, or it might be collected before it is weighed.
  limiter.decide(newIdentity('principal'), plans, 'enforce')
  return bytes
}

async function inRedis(): Promise<{ redis: number; redisGrowth: number }> {
  const server = await startRedis()
  const store = createRedisStore({
    servers: { kind: 'single', url: server.url },
    password: null,
    tls: null,
    keyPrefix: 'sluice:',
    timeout: 10_000,
    connectTimeout: 1000,
  })
  const used = async () => Number(/used_memory:(\d+)/.exec(await server.cli('info', 'memory'))![1])
  try {
    await store.opened
    const bucket = plans[0]!.pools.device
    await chargeAll(1)
    const before = await used()
    await chargeAll(DEVICES_IN_REDIS)
    await delay(100)
    const keys = Number(await server.cli('dbsize'))
    if (keys < DEVICES_IN_REDIS) throw new Error(`${keys} keys, not ${DEVICES_IN_REDIS}`)
    // By a script, for keys are bytes that no command line takes.
    const usage = await server.cli('eval', "return redis.call('memory', 'usage', redis.call('randomkey'))", '0')
    return { redis: Number(usage), redisGrowth: ((await used()) - before) / DEVICES_IN_REDIS }

    async function chargeAll(count: number): Promise<void> {
      for (let done = 0; done < count; done += BATCH) {
        const charges = Array.from({ length: Math.min(BATCH, count - done) }, () => {
          const { id, tag } = newIdentity('principal')
          const debit: Debit = { bucket, id, tag, cost: TOKEN, group: 0, reserve: 0, floor: 0 }
          return store.charge([debit])
        })
        await Promise.all(charges)
      }
    }
  } finally {
    await store.close()
    await server.stop()
  }
}

process.stdout.write(JSON.stringify({ process: inProcess(), ...(await inRedis()) }))
