import type { Latency } from './latency.ts'
import type { ProcessMemory } from './process-memory.ts'
import type { Throughput } from './requests.ts'

/** Decisions for each CPU second: of 1,000 principals, of 1,000 members, of 1,000,000 principals. */
export type Decisions = { readonly hot: number; readonly hotMembers: number; readonly distinct: number }

/** Bytes for each tracked device; in Redis by MEMORY USAGE of its key, and all that Redis has grown by. */
export type DeviceMemory = { readonly process: number; readonly redis: number; readonly redisGrowth: number }

/** All that a run has measured; what was not asked for is missing. */
export type Results = {
  readonly requests: readonly Throughput[]
  readonly decisions: Decisions | null
  readonly deviceMemory: DeviceMemory | null
  readonly processMemory: ProcessMemory | null
  readonly churn: ProcessMemory | null
  readonly latency: Latency | null
}

/** One promise of the design, section 9: what is measured, what it is to be, and what it came to; null where it was not measured. */
export type Target = {
  readonly against: string
  readonly unit: 'ratio' | 'per second' | 'bytes' | 'ms'
  readonly bound: 'at least' | 'at most'
  readonly wanted: number
  readonly reached: number | null
}

export function targetsOf(results: Results): readonly Target[] {
  const { decisions, deviceMemory, latency } = results
  const speed = (name: string) => find(results, name)?.perCpuSecond.median ?? null
  const redis = (name: string) => find(results, name)?.redisUs?.median ?? null
  const atLeast = { unit: 'ratio', bound: 'at least' } as const
  const atMost = { unit: 'ratio', bound: 'at most' } as const
  return [
    ratio('Express 5 + http-proxy-middleware + express-rate-limit', atLeast, 6, speed('sluice'), speed('express')),
    ratio('Fastify 5 + @fastify/http-proxy + @fastify/rate-limit', atLeast, 2.5, speed('sluice'), speed('fastify')),
    ratio('nginx + Lua + Redis, both on Redis', atLeast, 1.5, speed('sluice-redis'), speed('nginx-lua-redis')),
    ratio(
      'its Redis CPU a request, 10 hot keys',
      atMost,
      1 / 20,
      redis('sluice-redis-hot'),
      redis('nginx-lua-redis-hot'),
    ),
    ratio('nginx limit_req', atLeast, 0.6, speed('sluice'), speed('nginx-limit-req')),
    ratio('a Node server answering a constant', atLeast, 0.5, speed('sluice'), speed('constant')),
    value('decisions, memory, 2 limits, hot', 'per second', 'at least', 2e6, decisions?.hot),
    value('decisions over 1,000,000 distinct devices', 'per second', 'at least', 6e5, decisions?.distinct),
    value('a tracked device in process', 'bytes', 'at most', 130, deviceMemory?.process),
    value('a tracked device in Redis', 'bytes', 'at most', 100, deviceMemory?.redis),
    ratio('cost of 1,000 limits against 5', atMost, 1.2, speed('sluice-5-limits'), speed('sluice-1000-limits')),
    value('added latency at half load, p99', 'ms', 'at most', 1, latency?.added.median),
  ]
}

export function holds({ bound, wanted, reached }: Target): boolean {
  return reached !== null && (bound === 'at least' ? reached >= wanted : reached <= wanted)
}

function find({ requests }: Results, name: string): Throughput | undefined {
  return requests.find(({ contender }) => contender.name === name)
}

function ratio(
  against: string,
  kind: Pick<Target, 'unit' | 'bound'>,
  wanted: number,
  own: number | null,
  other: number | null,
): Target {
  return { against, ...kind, wanted, reached: own === null || other === null ? null : own / other }
}

function value(
  against: string,
  unit: Target['unit'],
  bound: Target['bound'],
  wanted: number,
  reached: number | undefined,
): Target {
  return { against, unit, bound, wanted, reached: reached ?? null }
}
