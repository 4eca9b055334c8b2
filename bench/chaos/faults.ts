import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../../test/fixtures/app.ts'
import { startDelay } from '../../test/fixtures/delay.ts'
import { freePort, type RedisServer, startRedis } from '../../test/fixtures/redis-server.ts'
import { startSentinels } from '../../test/fixtures/redis-topologies.ts'
import type { Cleanup } from './lab.ts'

/** A Redis that can be harmed: what a policy's `store` says of it, and how. */
export type Patient = {
  readonly store: string
  /** The server that holds the buckets now. */
  redis(): RedisServer
  inject(): Promise<void>
  /** Resolves when Redis could serve again. */
  lift(): Promise<void>
}

export type Fault = {
  readonly name: string
  /** Whether instances must notice and go on without it: the breaker opens, nobody waits, and a share is admitted in process. */
  readonly isOutage: boolean
  /** Whether buckets may be lost, which is one more burst for each key. */
  readonly losesData: boolean
  /** Whether Redis serves again without being told, at a time of its own. */
  readonly healsItself?: boolean
  prepare(cleanup: Cleanup): Promise<Patient>
}

const MEGABYTE = 1024 * 1024

/** Redis alone on a port that it keeps when it is started again. */
async function startAlone(cleanup: Cleanup, args: readonly string[] = []) {
  let server = await startRedis(args)
  cleanup.teardown(() => server.stop())
  return {
    store: `url: ${server.url}`,
    redis: () => server,
    kill: () => server.stop(),
    async restart() {
      server = await startRedis(args, server.port)
    },
  }
}

async function killed(cleanup: Cleanup, args: readonly string[] = []): Promise<Patient> {
  const { kill, restart, ...alone } = await startAlone(cleanup, args)
  return { ...alone, inject: kill, lift: restart }
}

/** Redis alone that is harmed and healed by commands or signals. */
function alone(inject: (redis: RedisServer) => unknown, lift: (redis: RedisServer) => unknown = () => {}) {
  return async (cleanup: Cleanup): Promise<Patient> => {
    const { store, redis } = await startAlone(cleanup)
    return {
      store,
      redis,
      inject: async () => void (await inject(redis())),
      lift: async () => void (await lift(redis())),
    }
  }
}

/** Writes until Redis has more than it may have. */
async function fill(redis: RedisServer): Promise<void> {
  const used = Number(/used_memory:(\d+)/.exec(await redis.cli('info', 'memory'))![1])
  await redis.cli('config', 'set', 'maxmemory', String(used + MEGABYTE))
  const write = "for i = 1, 20000 do redis.call('SET', 'filler:' .. i, string.rep('x', 100), 'PX', 600000) end"
  await redis.cli('eval', write, '0')
}

const empty = (redis: RedisServer) =>
  redis.cli('eval', "for i = 1, 20000 do redis.call('DEL', 'filler:' .. i) end", '0')

export const FAULTS: readonly Fault[] = [
  { name: 'killed', isOutage: true, losesData: true, prepare: (cleanup) => killed(cleanup) },
  {
    name: 'killed-aof',
    isOutage: true,
    losesData: false,
    async prepare(cleanup) {
      const dir = await mkdtemp(join(tmpdir(), 'sluice-aof-'))
      cleanup.teardown(() => rm(dir, { recursive: true, force: true }))
      return killed(cleanup, ['--appendonly', 'yes', '--dir', dir])
    },
  },
  {
    name: 'stopped',
    isOutage: true,
    losesData: false,
    prepare: alone(
      ({ pid }) => process.kill(pid, 'SIGSTOP'),
      ({ pid }) => process.kill(pid, 'SIGCONT'),
    ),
  },
  {
    name: 'delayed',
    isOutage: true,
    losesData: false,
    async prepare(cleanup) {
      const { redis } = await startAlone(cleanup)
      const way = await startDelay(cleanup, redis().port)
      return {
        store: `url: ${way.url}`,
        redis,
        async inject() {
          way.delay = 250
        },
        async lift() {
          way.delay = 0
        },
      }
    },
  },
  { name: 'flushed', isOutage: false, losesData: true, prepare: alone((redis) => redis.cli('flushall')) },
  {
    name: 'scripts-flushed',
    isOutage: false,
    losesData: false,
    prepare: alone((redis) => redis.cli('script', 'flush')),
  },
  {
    name: 'failed-over',
    isOutage: true,
    // What the replica had not heard of.
    losesData: true,
    healsItself: true,
    async prepare(cleanup) {
      const { primary, replica, sentinels } = await startSentinels(cleanup)
      const nodes = sentinels.map(({ port }) => `127.0.0.1:${port}`)
      let serving = primary
      return {
        store: `sentinel: {name: primary, nodes: [${nodes.join(', ')}]}`,
        redis: () => serving,
        inject: () => primary.stop(),
        async lift() {
          // A sentinel that was held up does nothing for half a minute.
          await eventually('a promoted replica', async () => (await replica.cli('role')).startsWith('master'), 90_000)
          serving = replica
        },
      }
    },
  },
  {
    name: 'read-only',
    isOutage: true,
    losesData: false,
    prepare: alone(
      async (redis) => redis.cli('replicaof', '127.0.0.1', String(await freePort())),
      (redis) => redis.cli('replicaof', 'no', 'one'),
    ),
  },
  { name: 'out-of-memory', isOutage: true, losesData: false, prepare: alone(fill, empty) },
]
