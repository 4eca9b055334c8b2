// Express with http-proxy-middleware and express-rate-limit, buckets in process: `node express.js PORT UPSTREAM TOKENS WINDOW_MS`
import { Agent } from 'node:http'
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { createProxyMiddleware } from 'http-proxy-middleware'

const [port, upstream, tokens, windowMs] = process.argv.slice(2)
const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.set('trust proxy', 'loopback')
app.use(rateLimit({ windowMs: Number(windowMs), limit: Number(tokens), standardHeaders: 'draft-8', legacyHeaders: false }))
app.use(
  createProxyMiddleware({
    target: `http://127.0.0.1:${upstream}`,
    agent: new Agent({ keepAlive: true, maxSockets: 256 }),
    xfwd: true,
  }),
)
app.listen(Number(port), '127.0.0.1')
