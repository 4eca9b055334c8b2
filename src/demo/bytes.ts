import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { wholeQuery } from './query.ts'
import { streamJson, streamResponse } from './stream-response.ts'

const MAX_BYTES = 2 * 1024 ** 3
/** The byte at each offset is the offset modulo 256, so that a reader can tell what is missing or doubled. */
const CHUNK = Buffer.from(Array.from({ length: 64 * 1024 }, (_, index) => index % 256))

/** `GET /bytes?n=` streams n bytes, no faster than they are read; `/upload` counts a body's bytes and keeps none. */
export function bytesRoutes(app: Hono<DemoEnv>): void {
  app.get('/bytes', (c) => {
    const n = wholeQuery(c, 'n', { min: 0, max: MAX_BYTES })
    if (n instanceof Response) return n
    return streamResponse(c, async ({ env }) => {
      env.outgoing.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': n,
        'cache-control': 'private, max-age=0',
      })
      if (c.req.method === 'GET') await writeBytes(env.outgoing, n)
      env.outgoing.end()
    })
  })

  app.on(['POST', 'PUT', 'PATCH'], '/upload', (c) =>
    streamResponse(c, async ({ env }) => {
      let bytes = 0
      for await (const chunk of env.incoming as AsyncIterable<Buffer>) bytes += chunk.length
      streamJson(env.outgoing, { bytes })
    }),
  )
}

async function writeBytes(outgoing: ServerResponse, n: number): Promise<void> {
  const gone = once(outgoing, 'close')
  for (let left = n; left > 0 && !outgoing.destroyed; left -= CHUNK.length) {
    const part = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK
    if (!outgoing.write(part)) await Promise.race([once(outgoing, 'drain'), gone])
  }
}
