import { AMPLE, type Contender, type Surroundings } from './contenders/contender.ts'
import { type Spread, spreadOf } from './load/spread.ts'
import { runWrk, type WrkResult } from './load/wrk.ts'

/** Milliseconds at the 99th percentile, of the direct call to the upstream and of the one through a proxy. */
export type Latency = {
  readonly perSecond: number
  readonly directP99: Spread
  readonly proxiedP99: Spread
  /** What the proxy adds, round by round. */
  readonly added: Spread
  readonly errors: number
}

/** What a connection waits between two requests: 5 ms on average, so that together they ask at no fixed beat. */
const PAUSE = 5

/** What does a proxy add to an answer when it is asked half as much as it could serve? The direct call is asked as much, in turn. */
export async function measureLatency(
  contender: Contender,
  around: Surroundings,
  clients: string,
  { rounds, seconds, tell }: { readonly rounds: number; readonly seconds: number; tell(line: string): void },
): Promise<Latency> {
  const server = await contender.start(around, AMPLE)
  try {
    let full = await runWrk(server.port, { clients, seconds: 3 })
    full = await runWrk(server.port, { clients, seconds: 3 })
    const half = full.requests / (full.us / 1e6) / 2
    const connections = Math.max(1, Math.round((half * PAUSE) / 1000))
    const load = (port: number) => runWrk(port, { clients, seconds, connections, pause: PAUSE })
    const turns: { direct: WrkResult; proxied: WrkResult }[] = []
    for (let nth = 1; nth <= rounds; nth++) {
      const turn = { direct: await load(around.upstreamPort), proxied: await load(server.port) }
      turns.push(turn)
      tell(`${nth}/${rounds} ${contender.name}: p99 ${turn.proxied.p99Us} us, direct ${turn.direct.p99Us} us`)
    }
    return {
      perSecond: spreadOf(turns.map(({ proxied }) => proxied.requests / (proxied.us / 1e6))).median,
      directP99: spreadOf(turns.map(({ direct }) => direct.p99Us / 1000)),
      proxiedP99: spreadOf(turns.map(({ proxied }) => proxied.p99Us / 1000)),
      added: spreadOf(turns.map(({ direct, proxied }) => (proxied.p99Us - direct.p99Us) / 1000)),
      errors: turns.reduce((sum, { proxied }) => sum + proxied.socketErrors + proxied.statusErrors, 0),
    }
  } finally {
    await server.stop()
  }
}
