import { checkContender } from './contenders/check.ts'
import { AMPLE, type Clients, type Contender, type Surroundings } from './contenders/contender.ts'
import { cpuSeconds } from './load/cpu.ts'
import type { Server } from './load/process.ts'
import { type Spread, spreadOf } from './load/spread.ts'
import { runWrk } from './load/wrk.ts'

/** What one contender did, over all rounds. */
export type Throughput = {
  readonly contender: Contender
  /** Requests for each CPU second of the contender, and for each second of the clock. */
  readonly perCpuSecond: Spread
  readonly perSecond: Spread
  /** The first of them round by round, so that two contenders can be compared within each round. */
  readonly rounds: readonly number[]
  /** Microseconds of Redis for each request; null where the contender uses none. */
  readonly redisUs: Spread | null
  /** Requests that were not answered as they should. */
  readonly errors: number
}

type Round = { readonly perCpuSecond: number; readonly perSecond: number; readonly redisUs: number }

const CONNECTIONS = 64
/** How many requests it takes until what is compiled on the way is compiled; a first round waits so many times its length for them. */
const FIRST_REQUESTS = 50_000
const FIRST_PATIENCE = 10

/** How many requests does each contender serve for a CPU second of its own? All are running; they are loaded in turn, round by round. */
export async function measureRequests(
  contenders: readonly Contender[],
  around: Surroundings,
  clientsFile: (clients: Clients) => string,
  { rounds, seconds, tell }: { readonly rounds: number; readonly seconds: number; tell(line: string): void },
): Promise<readonly Throughput[]> {
  const entries: { contender: Contender; server: Server; rounds: Round[]; errors: number }[] = []
  try {
    for (const contender of contenders) {
      const server = await contender.start(around, AMPLE)
      entries.push({ contender, server, rounds: [], errors: 0 })
      await checkContender(contender, server.port, around)
    }
    for (let nth = 1; nth <= rounds; nth++) {
      for (const entry of entries) {
        const { contender, server } = entry
        const clients = clientsFile(contender.clients)
        await warmUp(server, clients, nth === 1 ? FIRST_PATIENCE * seconds : 1)
        const cpuBefore = cpuSeconds(server.pid)
        const redisBefore = around.redis === null ? 0 : cpuSeconds(around.redis.pid)
        const result = await runWrk(server.port, { clients, connections: CONNECTIONS, seconds })
        const { requests, us, statusErrors, socketErrors } = result
        const cpu = cpuSeconds(server.pid) - cpuBefore
        const redis = around.redis === null ? 0 : cpuSeconds(around.redis.pid) - redisBefore
        entry.errors += socketErrors + (contender.status === 429 ? requests - statusErrors : statusErrors)
        const round = {
          perCpuSecond: requests / cpu,
          perSecond: requests / (us / 1e6),
          redisUs: (redis * 1e6) / requests,
        }
        entry.rounds.push(round)
        tell(`${nth}/${rounds} ${contender.name}: ${Math.round(round.perCpuSecond)} requests a CPU second`)
      }
    }
  } finally {
    for (const { server } of entries) await server.stop()
  }
  return entries.map(({ contender, rounds, errors }) => ({
    contender,
    perCpuSecond: spreadOf(rounds.map((round) => round.perCpuSecond)),
    perSecond: spreadOf(rounds.map((round) => round.perSecond)),
    rounds: rounds.map((round) => round.perCpuSecond),
    redisUs: contender.needs.redis ? spreadOf(rounds.map((round) => round.redisUs)) : null,
    errors,
  }))
}

async function warmUp({ port }: Server, clients: string, maxSeconds: number): Promise<void> {
  let requests = 0
  for (let second = 1; requests < FIRST_REQUESTS && second <= maxSeconds; second++) {
    requests += (await runWrk(port, { clients, connections: CONNECTIONS, seconds: 1 })).requests
  }
}
