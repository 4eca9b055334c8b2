import diagnostics from 'node:diagnostics_channel'
import { startApp } from '../../src/app.ts'
import { createLog } from '../../src/log.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'
import { type Link, openLink } from './link.ts'
import type { Message } from './message.ts'
import type { Random } from './random.ts'
import { startUpstream } from './upstream.ts'

/** The limit under test: rate in tokens a second, burst in tokens. */
export const LIMIT = { rate: 1, burst: 30 }

/** A request and the simulated second at which it reaches the proxy. */
export type Timed = { readonly at: number; readonly message: Message }

export type ProxyUnderTest = {
  /** Lets the requests reach the proxy in order, each at its own time; resolves with their statuses. One call at a time. */
  send(requests: readonly Timed[]): Promise<readonly number[]>
  close(): Promise<void>
}

/** Second 0 of the simulation on the wall clock: 2026-06-01T00:00:00Z. */
const START_MS = Date.UTC(2026, 5, 1)
/** What the injected clock shows at second 0: far from zero, for visits before it. */
const START_US = 1e12

/**
 * The whole proxy, as `sluice serve` starts it from a policy file, on the loopback, with its clocks in our hands. What reaches
 * it are requests on sockets and nothing else. The clock moves in the moment in which node's server has read a request
 * (`http.server.request.start`): so requests that share one write are still decided each at its own time.
 */
export async function startProxy(random: Random): Promise<ProxyUnderTest> {
  const upstream = await startUpstream()
  const { times, clocks } = createClocks()
  const policy = policyFor(upstream.port)
  const log = createLog({ level: 'error', destination: { write: fail } })
  const app = await startApp(policy, { log, version: '0.0.0-simulation', random: random.next, ...clocks })
  const port = Number(new URL(app.url).port)
  const links = { ingress: await openLink(port, '127.0.0.1'), direct: await openLink(port, '127.0.0.9') }

  function arrived(message: unknown): void {
    const { request } = message as { readonly request: { readonly socket: { readonly localPort?: number } } }
    if (request.socket.localPort === port) times.next()
  }
  diagnostics.subscribe('http.server.request.start', arrived)

  return {
    async send(requests) {
      times.expect(requests.map(({ at }) => at))
      const messages = requests.map(({ message }) => message)
      const link: Link = links[messages[0]!.route]
      const statuses = await link.exchange(messages)
      times.end()
      return statuses
    },
    async close() {
      diagnostics.unsubscribe('http.server.request.start', arrived)
      links.ingress.close()
      links.direct.close()
      await app.close()
      await upstream.close()
    },
  }
}

/** Both clocks of the proxy, and the times they are to show as requests arrive. */
function createClocks() {
  let now = Number.NEGATIVE_INFINITY
  let expected: readonly number[] = []
  let arrivals = 0
  return {
    clocks: {
      clock: { nowUs: () => START_US + Math.round(Math.max(now, -1e5) * 1e6) },
      wallMs: () => START_MS + Math.floor(Math.max(now, -1e5) * 1e3),
    },
    times: {
      expect(times: readonly number[]): void {
        expected = times
        arrivals = 0
      },
      next(): void {
        const time = expected[arrivals++]
        if (time === undefined || time < now) throw new Error(`a request at ${time} after ${now}: not in order`)
        now = time
      },
      end(): void {
        if (arrivals !== expected.length) throw new Error(`${arrivals} of ${expected.length} requests were seen`)
      },
    },
  }
}

function policyFor(upstreamPort: number) {
  const text = `
version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstream: {url: 'http://127.0.0.1:${upstreamPort}', connect_timeout: 1m, response_timeout: 1m}
server: {header_timeout: 1h, request_timeout: 1h, keep_alive_timeout: 1h, drain_timeout: 1s}
identity: {secret: the-simulation-signs-with-this-one-always, trusted_proxies: [127.0.0.1]}
limits:
  - {name: device, per: device, rate: ${60 * LIMIT.rate}/min, burst: ${LIMIT.burst}, mode: enforce}
log: {level: error, access: 'off'}
`
  const result = parsePolicy({ text, file: null, env: {}, readFile: () => '' })
  if (!result.ok) throw new Error(result.problems.map((problem) => formatProblem(problem)).join('\n'))
  return result.policy
}

/** What the proxy logs as an error is a fault of the run. */
function fail(line: string): void {
  throw new Error(`the proxy logged: ${line}`)
}
