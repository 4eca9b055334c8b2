import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { AMPLE, eventually, type LogLine } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { denyEntry, path, startThrough } from '../fixtures/through.ts'
import { ok, type Turn } from '../fixtures/upstream.ts'
import { switching } from '../fixtures/web-socket.ts'
import { faultOfAnswers } from './answer-bytes.ts'
import { type Ending, type Script, scripts } from './request-bytes.ts'

/** FUZZ_RUNS: how many raw requests, at least. FUZZ_SEED: the run to repeat; a failure prints it. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 20_000)
const SEED = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const AT_ONCE = 100
/**
 * A client that is neither answered nor cut off for this long (milliseconds) is hanging. Only time counts in which this
 * process had nothing else to do: a busy machine is no fault of the proxy.
 */
const HANG = 2000
const idleTime = () => performance.eventLoopUtilization().idle

t.setTimeout(0)

t.test(
  'requests of any bytes: what the upstream sees was counted, every answer is well-formed, nothing hangs',
  async (t) => {
    const { url, upstream, lines, metric } = await startThrough(
      t,
      {
        limits: [
          AMPLE,
          limitOf({ name: 'rare', rate: { tokens: 1, seconds: 3600 }, burst: 1, match: path('/limited') }),
        ],
        deny: [denyEntry({ match: path('/denied/**') })],
        server: { headerTimeout: 300, minRate: 1_000_000, minRateGrace: 400, keepAliveTimeout: 200 },
        upstream: { idleTimeout: 500, responseTimeout: 1000 },
      },
      answer,
    )
    const port = Number(new URL(url).port)
    const total = { requests: 0, seen: 0, counted: 0 }
    const statuses = new Map<string, number>()

    /** What the last batch added: every request that the upstream saw is one that was decided on, and each is counted once. */
    async function check(): Promise<void> {
      await eventually('no request under way', async () => (await metric('sluice_inflight_requests')) === 0)
      await eventually('no tunnel open', async () => (await metric('sluice_upgrades_active')) === 0)
      const access = new Map<string, LogLine>()
      for (const line of lines.slice(total.counted).map((text) => JSON.parse(text) as LogLine)) {
        if (line.msg !== 'request') continue
        const id = String(line.request_id)
        if (access.has(id)) throw new Error(`counted twice: ${id}`)
        access.set(id, line)
      }
      total.counted = lines.length
      const arrived = new Set<string>()
      for (const request of upstream.seen.slice(total.seen)) {
        const id = request.one('x-request-id') ?? ''
        if (access.get(id)?.key === undefined)
          throw new Error(`the upstream saw what no limit was asked about: ${request.head}`)
        if (arrived.has(id)) throw new Error(`the upstream saw it twice: ${request.head}`)
        arrived.add(id)
      }
      total.seen = upstream.seen.length
      for (const [id, { outcome }] of access) {
        if (outcome === 'forwarded' && !arrived.has(id)) throw new Error(`counted as forwarded, but not seen: ${id}`)
      }
      requests += access.size
      if ((await metric('sluice_requests_total')) !== requests) throw new Error('the metric differs from the log')
    }
    let requests = 0

    async function run(script: Script): Promise<void> {
      const read = await play(port, script)
      const fault = read.isHanging && !isUntold(script) ? 'it hangs' : faultOfAnswers(read.bytes)
      if (fault !== null)
        throw new Error(`${fault}: ${JSON.stringify({ script, read: read.bytes.toString('latin1') })}`)
      for (const [, status] of read.bytes.toString('latin1').matchAll(/HTTP\/1\.1 (\d+) /g)) {
        statuses.set(status!, (statuses.get(status!) ?? 0) + 1)
      }
    }

    const batches = fc.array(scripts, { minLength: AT_ONCE, maxLength: AT_ONCE })
    const property = fc.asyncProperty(batches, async (batch) => {
      await Promise.all(batch.map(run))
      await check()
      total.requests += batch.reduce((sum, { segments }) => sum + segments.length, 0)
    })
    // A script has about 5 requests; what is missing in the end is made up for.
    for (let seed = SEED; total.requests < RUNS; seed++) {
      const numRuns = Math.ceil((RUNS - total.requests) / (5 * AT_ONCE))
      const { failed, errorInstance } = await fc.check(property, { numRuns, seed, endOnFailure: true })
      if (failed) throw new Error(`FUZZ_SEED=${seed}: ${errorInstance}`)
    }
    t.ok(total.requests >= RUNS, `${total.requests} raw requests, seed ${SEED}`)
    t.comment(
      `${total.seen} were seen by the upstream; answers: ${JSON.stringify(Object.fromEntries([...statuses].sort()))}`,
    )
    // What it is to try comes up, where it has the time to.
    for (const status of RUNS < 20_000 ? [] : [100, 101, 200, 400, 403, 405, 408, 417, 429, 501, 505]) {
      t.ok(statuses.has(String(status)), `${status} came up`)
    }
  },
)

/** Answers when the request is whole, sometimes before; opens every second tunnel that is asked for. */
async function answer({ request, socket, nth, body, send }: Turn): Promise<void> {
  if (request.all('upgrade').length > 0) {
    if (nth % 2 === 0) return send(ok('no tunnel'))
    // What comes now is no request.
    socket.removeAllListeners('data').resume()
    send(switching())
    return
  }
  if (nth % 16 === 0) return send(ok('early'))
  await body()
  send(request.method === 'HEAD' ? ok('').replace('Content-Length: 0', 'Content-Length: 5') : ok(`body ${nth}`))
}

/**
 * Whether node (24.9 and later) may tell nobody of a body that is malformed: it does not behind `Connection: Upgrade`. Such a request
 * ends with min_rate_grace, as test/proxy/upgrade.test.ts shows.
 */
function isUntold({ segments }: Script): boolean {
  const isNew = Number(process.versions.node.split('.')[0]) >= 24
  return (
    isNew &&
    segments.some(
      (segment) => /^connection:.*upgrade/im.test(segment) && /^(transfer-encoding|content-length):/im.test(segment),
    )
  )
}

const LAST: Partial<Record<Ending, string>> = {
  'last request': 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'half a request': 'POST /last HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf',
}

type Played = { readonly bytes: Buffer; readonly isHanging: boolean }

/** Plays a script; resolves when the connection has ended, or nothing has happened on it for too long. */
function play(port: number, { segments, cuts, ending }: Script): Promise<Played> {
  const last = LAST[ending] ?? ''
  const bytes = Buffer.from(segments.join('') + last, 'latin1')
  const places = [...cuts.map((place) => Math.floor((place * bytes.length) / 1000)), bytes.length].sort((a, b) => a - b)
  const parts: Buffer[] = []
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    const over = (isHanging: boolean) => {
      clearInterval(beat)
      socket.destroy()
      resolve({ bytes: Buffer.concat(parts), isHanging })
    }
    let since = idleTime()
    const beat = setInterval(() => {
      if (idleTime() - since > HANG) over(true)
    }, 100)
    socket.on('error', () => {})
    socket.on('data', (part) => {
      since = idleTime()
      parts.push(part)
      if (ending === 'destroy later') socket.destroy()
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => over(false))
    socket.on('connect', async () => {
      let from = 0
      for (const to of places) {
        if (socket.destroyed) return
        if (to > from) socket.write(bytes.subarray(from, to))
        from = to
        for (let i = 0; i < 3; i++) await turn()
      }
      if (ending === 'end') socket.end()
      if (ending === 'destroy') socket.destroy()
    })
  })
}
