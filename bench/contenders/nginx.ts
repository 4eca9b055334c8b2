import { resolve } from 'node:path'
import { freePort } from '../../test/fixtures/redis-server.ts'
import { writeConfiguration } from '../load/configure.ts'
import { type Server, startServer } from '../load/process.ts'
import type { Contender } from './contender.ts'

const UPSTREAM = 'nginx-upstream.conf'

/** The body of every good answer: 150 bytes. */
export const BODY = JSON.stringify({ items: 'x'.repeat(138) })

/** The upstream of all contenders, on the core of the load. */
export async function startUpstream(folder: string): Promise<Server> {
  return startNginx(UPSTREAM, folder, { BODY }, false)
}

/** nginx before the upstream: alone, and with each way it has to limit. */
export const NGINX: readonly Contender[] = [
  {
    name: 'nginx',
    title: 'nginx, pass-through',
    needs: {},
    limits: null,
    clients: 'known',
    start: (around) => startNginx('nginx-pass.conf', around.folder, { UPSTREAM: around.upstreamPort }),
  },
  {
    name: 'nginx-limit-req',
    title: 'nginx limit_req',
    needs: {},
    limits: { refusal: 429, field: null },
    clients: 'known',
    start: (around, { tokens, isRefusing }) =>
      startNginx('nginx-limit-req.conf', around.folder, {
        UPSTREAM: around.upstreamPort,
        // nginx counts the first request apart from the burst.
        RATE: isRefusing ? '1r/m' : `${tokens}r/s`,
        BURST: tokens - 1,
      }),
  },
  lua('nginx-lua-redis', 'nginx + Lua + Redis', 'known'),
  lua('nginx-lua-redis-hot', 'nginx + Lua + Redis, 10 keys', 'hot'),
]

function lua(name: string, title: string, clients: 'known' | 'hot'): Contender {
  return {
    name,
    title,
    needs: { redis: true },
    limits: { refusal: 429, field: 'ratelimit' },
    clients,
    start: (around, { tokens, isRefusing }) =>
      startNginx('nginx-lua-redis.conf', around.folder, {
        UPSTREAM: around.upstreamPort,
        REDIS: around.redis!.port,
        LUA: resolve('bench/peers'),
        PREFIX: name,
        BURST: tokens,
        RATE: isRefusing ? tokens / 3600 : tokens,
      }),
  }
}

/** Starts nginx with one worker. */
async function startNginx(
  template: string,
  folder: string,
  values: Readonly<Record<string, string | number>>,
  isUnderTest = true,
): Promise<Server> {
  const port = await freePort()
  const { prefix, file } = writeConfiguration(template, folder, { ...values, PORT: port })
  return startServer(['nginx', '-p', prefix, '-c', file, '-e', 'stderr'], { port, isUnderTest })
}
