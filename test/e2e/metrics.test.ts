import { spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { serve } from './process.ts'

async function proxy(t: Test) {
  const upstream = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => upstream.close())
  return serve(t, {
    SLUICE_UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    SLUICE_TRUSTED_PROXIES: 'loopback',
    SLUICE_LOG_LEVEL: 'info',
  })
}

async function scrape(adminUrl: string): Promise<string> {
  return (await fetch(`${adminUrl}/metrics`)).text()
}

/** All but those of Node's own runtime, which come with its first garbage collection, heap space or kind of handle. */
function seriesOf(metrics: string): string[] {
  const lines = metrics.split('\n').filter((line) => line !== '' && !/^(#|nodejs_)/.test(line))
  return lines.map((line) => line.slice(0, line.lastIndexOf(' '))).sort()
}

/** A request of a client never seen before, from a network never seen before. */
function randomRequest(): string {
  const random = () => randomBytes(6).toString('hex')
  const address = [randomInt(1, 224), randomInt(256), randomInt(256), randomInt(256)].join('.')
  return [
    `GET /${random()}?${random()} HTTP/1.1`,
    'Host: api.example',
    `User-Agent: ${random()}`,
    `Accept-Language: ${random()}`,
    `Authorization: Bearer ${random()}`,
    `X-Forwarded-For: ${address}`,
    `X-Request-Id: ${random()}`,
    `X-${random()}: ${random()}`,
    '\r\n',
  ].join('\r\n')
}

/** Sends `count` such requests over one connection, `batch` at a time, and gives how many were answered 200. */
async function flood(url: string, count: number, batch: number): Promise<number> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.setEncoding('latin1')
  let received = ''
  socket.on('data', (chunk: string) => {
    received += chunk
    if (received.split('HTTP/1.1 ').length > batch) socket.emit('batch')
  })
  let passed = 0
  for (let sent = 0; sent < count; sent += batch) {
    received = ''
    const answered = once(socket, 'batch')
    socket.write(Array.from({ length: batch }, randomRequest).join(''))
    await answered
    passed += received.split('HTTP/1.1 200').length - 1
  }
  socket.destroy()
  return passed
}

t.test('the metrics are what promtool expects of metrics', async (t) => {
  const { url, adminUrl } = await proxy(t)
  await fetch(url)
  const promtool = spawn('promtool', ['check', 'metrics'])
  promtool.stdin.end(await scrape(adminUrl))
  const [said, [code]] = await Promise.all([text(promtool.stderr), once(promtool, 'close')])
  t.equal(code, 0, said)
  t.equal(said, '')
})

t.test('100,000 random clients leave the number of series unchanged', { timeout: 240_000 }, async (t) => {
  const { url, adminUrl } = await proxy(t)
  await (await fetch(url)).text()
  const before = seriesOf(await scrape(adminUrl))
  const connections = 10
  const passed = await Promise.all(Array.from({ length: connections }, () => flood(url, 100_000 / connections, 50)))
  t.equal(
    passed.reduce((sum, count) => sum + count, 0),
    100_000,
  )
  const after = await scrape(adminUrl)
  t.same(seriesOf(after), before)
  t.match(after, /^sluice_identities_total\{tier="class"\} 100001$/m, 'each was seen as what it claimed to be')
})
