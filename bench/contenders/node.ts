import { freePort } from '../../test/fixtures/redis-server.ts'
import { type Server, startServer } from '../load/process.ts'
import type { Allowance, Contender, Surroundings } from './contender.ts'
import { BODY } from './nginx.ts'

/** Node proxies as they are put together elsewhere, and the server that does nothing at all. */
export const NODE: readonly Contender[] = [
  stack('express', 'Express + http-proxy-middleware + express-rate-limit', 'ratelimit'),
  stack('fastify', 'Fastify + @fastify/http-proxy + @fastify/rate-limit', 'x-ratelimit-remaining'),
  {
    ...stack('fastify', 'Fastify stack, Redis', 'x-ratelimit-remaining', (around) => [String(around.redis!.port)]),
    name: 'fastify-redis',
    needs: { peers: true, redis: true },
  },
  {
    name: 'http-proxy',
    title: 'http-proxy alone',
    needs: { peers: true },
    limits: null,
    clients: 'known',
    start: ({ upstreamPort }) => startNode('http-proxy', [String(upstreamPort)]),
  },
  {
    name: 'constant',
    title: 'Node server answering a constant',
    needs: {},
    limits: null,
    clients: 'known',
    start: () => startNode('constant', [BODY]),
  },
]

function stack(
  name: string,
  title: string,
  field: string,
  more: (around: Surroundings) => readonly string[] = () => [],
): Contender {
  return {
    name,
    title,
    needs: { peers: true },
    limits: { refusal: 429, field },
    clients: 'known',
    start: (around, allowance) =>
      startNode(name, [String(around.upstreamPort), ...windowOf(allowance), ...more(around)]),
  }
}

/** Tokens, and the milliseconds they are for. */
function windowOf({ tokens, isRefusing }: Allowance): readonly string[] {
  return [String(tokens), isRefusing ? '3600000' : '1000']
}

async function startNode(program: string, args: readonly string[]): Promise<Server> {
  const port = await freePort()
  return startServer([process.execPath, `bench/peers/${program}.js`, String(port), ...args], {
    port,
    isUnderTest: true,
    env: { NODE_ENV: 'production' },
  })
}
