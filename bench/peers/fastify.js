// Fastify with its own proxy and rate limit, buckets in process or in Redis: `node fastify.js PORT UPSTREAM TOKENS WINDOW_MS [REDIS_PORT]`
import proxy from '@fastify/http-proxy'
import rateLimit from '@fastify/rate-limit'
import fastify from 'fastify'
import { Redis } from 'ioredis'

const [port, upstream, tokens, windowMs, redis] = process.argv.slice(2)
const app = fastify({ trustProxy: 'loopback', logger: false })
await app.register(rateLimit, {
  max: Number(tokens),
  timeWindow: Number(windowMs),
  cache: 20_000,
  ...(redis === undefined ? {} : { redis: new Redis(Number(redis), '127.0.0.1', { enableAutoPipelining: true }) }),
})
await app.register(proxy, { upstream: `http://127.0.0.1:${upstream}`, undici: { connections: 256 } })
await app.listen({ port: Number(port), host: '127.0.0.1' })
