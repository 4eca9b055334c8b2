import { freePort } from '../../test/fixtures/redis-server.ts'
import { writeConfiguration } from '../load/configure.ts'
import { startServer } from '../load/process.ts'
import type { Contender } from './contender.ts'

const WINDOW_SECONDS = 60

export const HAPROXY: Contender = {
  name: 'haproxy',
  title: 'HAProxy stick table',
  needs: {},
  limits: { refusal: 429, field: null },
  clients: 'known',
  async start({ folder, upstreamPort }, { tokens, isRefusing }) {
    const port = await freePort()
    const { file } = writeConfiguration('haproxy.cfg', folder, {
      PORT: port,
      UPSTREAM: upstreamPort,
      WINDOW: WINDOW_SECONDS,
      TOKENS: isRefusing ? tokens : tokens * WINDOW_SECONDS,
    })
    return startServer(['haproxy', '-db', '-f', file], { port, isUnderTest: true })
  },
}
