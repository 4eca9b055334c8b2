import { freePort } from '../../test/fixtures/redis-server.ts'
import { startServer } from '../load/process.ts'
import type { Contender } from './contender.ts'
import { BODY } from './nginx.ts'

/** Node proxies as they are put together elsewhere, and the server that does nothing at all. */
export const NODE: readonly Contender[] = [
  {
    name: 'constant',
    title: 'Node server answering a constant',
    needs: {},
    limits: null,
    clients: 'known',
    start: () => startNode('constant', [BODY]),
  },
]

async function startNode(program: string, args: readonly string[]) {
  const port = await freePort()
  return startServer([process.execPath, `bench/peers/${program}.js`, String(port), ...args], {
    port,
    isUnderTest: true,
    env: { NODE_ENV: 'production' },
  })
}
