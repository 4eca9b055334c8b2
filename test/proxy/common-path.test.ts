import { createHook } from 'node:async_hooks'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { type AddressInfo, connect, createServer } from 'node:net'
import url from 'node:url'
import t, { type Test } from 'tap'
import { AMPLE, startTestApp } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { get } from '../fixtures/raw-client.ts'
import { ok } from '../fixtures/upstream.ts'

/** What a request of a known device must not cost: each would be paid by every request. */

const REQUESTS = 200

type Costs = { promises: number; hmacs: number; hashes: number; urls: number; timers: number }

/** Counts while it is on; whatever was loaded before is counted too. Gives what puts everything back. */
function countCosts(): { readonly costs: Costs; stop(): void } {
  const costs: Costs = { promises: 0, hmacs: 0, hashes: 0, urls: 0, timers: 0 }
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROMISE') costs.promises++
    },
  }).enable()
  const { createHmac, createHash } = crypto
  const { URL } = url
  const { setTimeout, setInterval } = globalThis
  const put = (patches: object): void => {
    const { createHmac, createHash, URL, setTimeout, setInterval } = patches as Record<string, unknown>
    Object.assign(crypto, { createHmac, createHash })
    Object.assign(url, { URL })
    Object.assign(globalThis, { URL, setTimeout, setInterval })
    syncBuiltinESMExports()
  }
  const counted = <Call extends object>(call: Call, cost: keyof Costs): Call =>
    new Proxy(call, {
      apply(target, self, args) {
        costs[cost]++
        return Reflect.apply(target as (...args: unknown[]) => unknown, self, args)
      },
      construct(target, args) {
        costs[cost]++
        return Reflect.construct(target as new (...args: unknown[]) => object, args)
      },
    })
  put({
    createHmac: counted(createHmac, 'hmacs'),
    createHash: counted(createHash, 'hashes'),
    URL: counted(URL, 'urls'),
    setTimeout: counted(setTimeout, 'timers'),
    setInterval: counted(setInterval, 'timers'),
  })
  return {
    costs,
    stop() {
      hook.disable()
      put({ createHmac, createHash, URL, setTimeout, setInterval })
    },
  }
}

/** An upstream of callbacks alone: it runs in the process whose promises are counted. */
function startPlainUpstream(t: Test): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', () => socket.write(ok('{}', 'Content-Type: application/json', 'Cache-Control: no-store')))
  })
  t.teardown(() => void server.close())
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}

/** Asks so often, one answer after the other on one connection, by callbacks alone; `done` gets the last answer. */
function askAgain(port: number, message: string, times: number, done: (answer: string) => void): void {
  let left = times
  let answer = ''
  const socket = connect(port, '127.0.0.1', () => socket.write(message))
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1')
    if (!answer.endsWith('}')) return
    left--
    if (left === 0) {
      socket.destroy()
      return done(answer)
    }
    answer = ''
    socket.write(message)
  })
}

/** What `REQUESTS` such requests cost, all counted while nothing else goes on, and the answer to the last one. */
async function costsOf(port: number, message: string): Promise<Costs & { readonly answer: string }> {
  return await new Promise((resolve) => {
    askAgain(port, message, 50, () => {
      // In a turn of its own, for the first answers have more to do than those that follow.
      setImmediate(() => {
        const counting = countCosts()
        askAgain(port, message, REQUESTS, (answer) => {
          counting.stop()
          resolve({ ...counting.costs, answer })
        })
      })
    })
  })
}

async function start(t: Test, burst = 600_000) {
  const upstream = { url: await startPlainUpstream(t) }
  const limits = [AMPLE, limitOf({ name: 'minute', rate: { tokens: burst, seconds: 3600 }, burst })]
  const identity = {
    trustedProxies: ['127.0.0.1/32'],
    deviceCookie: { enabled: true, maxAge: 604_800_000, sameSite: 'lax', tokenHeader: 'device-token' } as const,
  }
  const { url } = await startTestApp(t, { upstream, limits, identity })
  const port = Number(new URL(url).port)
  const fields = ['User-Agent: Mozilla/5.0', 'Accept-Language: en', 'X-Forwarded-For: 192.0.2.1']
  const first = await new Promise<string>((resolve) => askAgain(port, get('/', ...fields), 1, resolve))
  const cookie = /^Set-Cookie: ([^;]+)/im.exec(first)![1]!
  return { port, fields, cookie }
}

t.test('a request of a known device makes no promise, HMAC, hash, URL object or timer', async (t) => {
  const { port, fields, cookie } = await start(t)
  const { answer, ...costs } = await costsOf(port, get('/items?page=2', ...fields, `Cookie: ${cookie}`))
  t.match(answer, /^HTTP\/1\.1 200 [\s\S]*^RateLimit: /m)
  t.notMatch(answer, /^Set-Cookie/im)
  t.same(costs, { promises: 0, hmacs: 0, hashes: 0, urls: 0, timers: 0 })
})

t.test('nor does one of a known device that is refused', async (t) => {
  const { port, fields, cookie } = await start(t, 3)
  const { answer, ...costs } = await costsOf(port, get('/items?page=2', ...fields, `Cookie: ${cookie}`))
  t.match(answer, /^HTTP\/1\.1 429 [\s\S]*^RateLimit: /m)
  t.same(costs, { promises: 0, hmacs: 0, hashes: 0, urls: 0, timers: 0 })
})

t.test('what costs something is seen: a client without a cookie gets a signed one with each answer', async (t) => {
  const { port, fields } = await start(t)
  const { answer, ...costs } = await costsOf(port, get('/items?page=2', ...fields))
  t.match(answer, /^Set-Cookie/im)
  t.same(costs, { promises: 0, hmacs: REQUESTS, hashes: 0, urls: 0, timers: 0 })
})

t.test('each kind of cost is counted', async (t) => {
  const { costs, stop } = countCosts()
  void (async () => {})()
  crypto.createHash('sha256')
  new URL('http://a.example')
  clearTimeout(setTimeout(() => {}))
  clearInterval(setInterval(() => {}, 1000))
  stop()
  t.same(costs, { promises: 1, hmacs: 0, hashes: 1, urls: 1, timers: 2 })
})
