import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startTestApp } from '../fixtures/app.ts'
import { fuzzSettings, piecesOf, type RawResponse, rawResponse } from '../fixtures/raw-responses.ts'

/**
 * An upstream that answers anything at all, through the whole proxy: no answer takes the process down, hangs a client,
 * reaches it with a framing that its bytes do not have, or leaks into another exchange.
 */

/** Nothing may take longer, in milliseconds. */
const PATIENCE = 2000
/** Exchanges at the same time. */
const LANES = 16

type Answer = { readonly head: string; readonly body: string; readonly status: number; readonly isWhole: boolean }

/** A client's connection, over which answers are read strictly. */
function openLane(t: Test, url: string) {
  const { hostname, port } = new URL(url)
  let socket: Socket | null = null
  let pending = ''
  let wake = () => {}

  function open(): Socket {
    const opened = connect({ host: hostname, port: Number(port), noDelay: true })
    pending = ''
    opened.on('data', (bytes) => {
      pending += bytes.toString('latin1')
      wake()
    })
    opened.on('error', () => {})
    opened.on('close', () => {
      if (socket === opened) socket = null
      wake()
    })
    return opened
  }

  t.teardown(() => void socket?.destroy())

  /** Sends a request and reads what comes of it. Throws where that is not HTTP, or takes too long. */
  async function ask(request: string, method: string): Promise<Answer> {
    if (pending !== '') throw new Error(`bytes that nobody asked for: ${pending}`)
    socket ??= open()
    socket.write(request)
    const deadline = setTimeout(() => wake(), PATIENCE)
    const end = performance.now() + PATIENCE
    try {
      for (;;) {
        const answer = take(method, socket === null)
        if (answer !== null && answer.status >= 200) {
          if (/^connection: close$/im.test(answer.head)) await closed(end)
          return answer
        }
        if (answer !== null) continue
        if (performance.now() >= end) throw new Error(`no answer within ${PATIENCE} ms; read: ${pending}`)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      clearTimeout(deadline)
    }
  }

  async function closed(end: number): Promise<void> {
    while (socket !== null && performance.now() < end)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    if (socket !== null) throw new Error('the connection was to close and did not')
    if (pending !== '') throw new Error(`bytes behind the last answer: ${pending}`)
  }

  function take(method: string, isEnded: boolean): Answer | null {
    const headEnd = pending.indexOf('\r\n\r\n')
    if (headEnd === -1) {
      if (!isEnded) return null
      // Half an answer that was broken off before its head went out.
      if (!'HTTP/1.1'.startsWith(pending.slice(0, 8))) throw new Error(`not HTTP: ${pending}`)
      pending = ''
      return { head: '', body: '', status: 599, isWhole: false }
    }
    const head = pending.slice(0, headEnd)
    const [line = '', ...fields] = head.split('\r\n')
    if (!/^HTTP\/1\.1 [1-9]\d\d [\t\x20-\x7e\x80-\xff]*$/.test(line)) throw new Error(`not a status line: ${line}`)
    for (const field of fields) {
      if (!/^[\w!#$%&'*+\-.^`|~]+: [\t\x20-\x7e\x80-\xff]*$/.test(field)) throw new Error(`not a field: ${field}`)
    }
    const rest = pending.slice(headEnd + 4)
    const status = Number(line.slice(9, 12))
    const values = (name: string) => fields.filter((field) => field.toLowerCase().startsWith(`${name}:`))
    const [length, ...lengths] = values('content-length')
    const codings = values('transfer-encoding')
    if (lengths.length > 0 || codings.length > 1 || (length && codings[0])) throw new Error(`framed twice: ${head}`)
    const taken = (body: string, left: string, isWhole = true) => {
      pending = left
      return { head, body, status, isWhole }
    }
    if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return taken('', rest)
    if (codings[0] !== undefined) return takeChunks(rest, isEnded, taken)
    if (length === undefined) throw new Error(`no framing: ${head}`)
    const size = Number(/: (\d+)$/.exec(length)?.[1] ?? Number.NaN)
    if (rest.length >= size) return taken(rest.slice(0, size), rest.slice(size))
    return isEnded ? taken(rest, '', false) : null
  }

  return ask
}

function takeChunks(
  bytes: string,
  isEnded: boolean,
  taken: (body: string, left: string, isWhole?: boolean) => Answer,
): Answer | null {
  let body = ''
  let at = 0
  for (;;) {
    const line = /^([0-9a-f]+)\r\n/i.exec(bytes.slice(at))
    if (line === null) {
      if (/^[0-9a-f]*\r?$/i.test(bytes.slice(at))) return isEnded ? taken(body, '', false) : null
      throw new Error(`not a chunk: ${bytes.slice(at)}`)
    }
    const size = Number.parseInt(line[1]!, 16)
    const from = at + line[0].length
    if (size === 0) {
      const trailers = /^(?:[\w!#$%&'*+\-.^`|~]+: [\t\x20-\x7e\x80-\xff]*\r\n)*\r\n/.exec(bytes.slice(from))
      if (trailers !== null) return taken(body, bytes.slice(from + trailers[0].length))
      return isEnded ? taken(body, '', false) : null
    }
    if (bytes.length < from + size + 2) return isEnded ? taken(body, '', false) : null
    if (bytes.slice(from + size, from + size + 2) !== '\r\n') throw new Error(`a chunk that does not end: ${bytes}`)
    body += bytes.slice(from, from + size)
    at = from + size + 2
  }
}

/** Whether a text is what is left of another when some of its characters, such as a framing, are taken out. */
function isPartOf(text: string, whole: string): boolean {
  let at = 0
  for (const character of text) {
    at = whole.indexOf(character, at) + 1
    if (at === 0) return false
  }
  return true
}

/** What the upstream is to answer to a target, and what becomes of its connection: `wait` ends it when nothing more is asked. */
type Plan = { readonly response: RawResponse; readonly end: 'end' | 'reset' | 'wait' | 'keep' }

async function startRawUpstream(t: Test) {
  const plans = new Map<string, Plan>()
  const sockets = new Set<Socket>()
  const attempts = { count: 0 }
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let pending = ''
    let waiting: NodeJS.Timeout | undefined
    socket.on('data', async (bytes) => {
      clearTimeout(waiting)
      pending += bytes.toString('latin1')
      const end = pending.indexOf('\r\n\r\n')
      if (end === -1) return
      const target = pending.split(' ', 2)[1]!
      pending = pending.slice(end + 4)
      attempts.count++
      const plan = plans.get(target)
      if (plan === undefined) {
        // Which exchange it belongs to is in the answer.
        return void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`)
      }
      for (const [i, piece] of piecesOf(plan.response).entries()) {
        if (i > 0) await new Promise((resolve) => setImmediate(resolve))
        socket.write(piece)
      }
      if (plan.end === 'wait') waiting = setTimeout(() => socket.end(), 10)
      if (plan.end === 'end') socket.end()
      else if (plan.end === 'reset') setImmediate(() => socket.resetAndDestroy())
    })
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, plans, attempts }
}

t.test('whatever an upstream answers, the client gets HTTP or the end of its connection', async (t) => {
  const { numRuns, seed } = fuzzSettings(20_000)
  const upstream = await startRawUpstream(t)
  const { url, metric, idle } = await startTestApp(t, {
    upstream: { url: upstream.url, responseTimeout: 300, idleTimeout: 300, maxConnections: LANES },
    log: { level: 'silent' },
  })
  const lanes = Array.from({ length: LANES }, () => openLane(t, url))
  const outcomes = { whole: 0, refused: 0, broken: 0 }
  let asked = 0

  async function exchange(lane: number, response: RawResponse, method: string, end: Plan['end']): Promise<void> {
    const target = `/${asked}-${lane}`
    upstream.plans.set(target, { response, end })
    const answer = await lanes[lane]!(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, method)
    upstream.plans.delete(target)
    const isOurs = /^proxy-status: sluice; error=/im.test(answer.head)
    if (!answer.isWhole) outcomes.broken++
    else if (isOurs) outcomes.refused++
    else outcomes.whole++
    const sent = response.bytes.toString('latin1')
    if (!isOurs && !isPartOf(answer.body, sent)) throw new Error(`${answer.body} was not sent by the upstream`)
    const after = `/after-${target.slice(1)}`
    const next = await lanes[lane]!(`GET ${after} HTTP/1.1\r\nHost: a\r\n\r\n`, 'GET')
    if (next.status !== 200 || next.body !== after)
      throw new Error(`leaked into the next exchange: ${next.head}\n${next.body}`)
    asked += 2
  }

  const batch = fc.array(
    fc.record({
      response: rawResponse,
      method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'DELETE'),
      end: fc.oneof(
        { weight: 300, arbitrary: fc.constantFrom<Plan['end']>('wait', 'wait', 'wait', 'end', 'end', 'reset') },
        { weight: 1, arbitrary: fc.constant<Plan['end']>('keep') },
      ),
    }),
    { minLength: LANES, maxLength: LANES },
  )
  await fc.assert(
    fc.asyncProperty(batch, async (exchanges) => {
      await Promise.all(exchanges.map(({ response, method, end }, lane) => exchange(lane, response, method, end)))
    }),
    { numRuns: Math.ceil(numRuns / LANES), seed, endOnFailure: true },
  )
  await idle()
  t.ok(asked / 2 >= numRuns)
  for (const [name, count] of Object.entries(outcomes)) t.ok(count > numRuns / 50, `${count} ${name}`)
  t.equal(await metric('sluice_requests_total'), asked, 'each request is counted once')
})
