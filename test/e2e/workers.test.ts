import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { eventually } from '../fixtures/app.ts'
import { type Load, startLoad } from '../fixtures/load.ts'
import { run } from './process.ts'
import { ask, isOfBoth, SECRET, startWorkers as start } from './workers.ts'

/** The built program with two workers on one port, the buckets in their primary. */

const AMPLE = 'limits: [{name: device, per: device, rate: 200000/s, burst: 1000000}]'

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Opens loads on connections that stay, one after the other, until both workers have some. */
async function loadBoth(proxy: Awaited<ReturnType<typeof start>>, reconnects: boolean): Promise<readonly Load[]> {
  const loads: Load[] = []
  await eventually(
    'both are at it',
    async () => {
      if (loads.length < 16) loads.push(startLoad(proxy.url, { connections: 4, reconnects }))
      await delay(300)
      return isOfBoth(proxy.lines().filter(({ msg }) => msg === 'request'))
    },
    20_000,
  )
  return loads
}

t.test('one hot device passes burst + rate * T and what a lease adds, also when a worker is killed', async (t) => {
  const [burst, rate] = [40, 10]
  const limits = `limits: [{name: device, per: device, rate: ${rate}/s, burst: ${burst}, newcomers: {rate: ${rate}/s, burst: ${burst}}}]`
  const proxy = await start(t, limits)
  const began = performance.now()
  const seconds = 6
  let passed = 0
  let cut = 0
  async function flood(): Promise<void> {
    while (performance.now() - began < 1000 * seconds) {
      const status = await ask(proxy.url)
      if (status === 200) passed++
      else if (status === 0) cut++
      else if (status !== 429) throw new Error(`unexpected ${status}`)
    }
  }
  const flooding = Promise.all(Array.from({ length: 4 }, flood))
  await delay(2000)
  process.kill(proxy.pids()[0]!, 'SIGKILL')
  await flooding
  const lasted = (performance.now() - began) / 1000
  const most = burst + rate * (lasted + 0.25)
  t.ok(proxy.served() <= most, `${proxy.served()} <= ${most}`)
  t.ok(passed >= (burst + rate * seconds) * 0.85, `${passed}: nor is it shared by two`)
  t.ok(cut <= 4, `${cut}: the other one goes on`)
  const refused = proxy.lines().filter(({ msg }) => msg === 'refused')
  t.ok(isOfBoth(refused))
  t.equal(await proxy.metric('sluice_store_fallbacks_total{action="local"}'), 0)
})

t.test('a limit that leases nothing is exact to the request', async (t) => {
  const limits =
    'limits: [{name: device, per: device, rate: 1/d, burst: 30, lease: off, newcomers: {rate: 1/d, burst: 30}}]'
  const proxy = await start(t, limits)
  const statuses = await Promise.all(Array.from({ length: 100 }, () => ask(proxy.url)))
  t.equal(statuses.filter((status) => status === 200).length, 30)
  t.equal(statuses.filter((status) => status === 429).length, 70)
})

t.test('who one worker admits is a member at the other, by the same secret', async (t) => {
  const proxy = await start(t, AMPLE, { env: { SLUICE_SECRET: '' } })
  const first = await fetch(proxy.url, { method: 'POST' })
  const cookie = first.headers.get('set-cookie')!.split(';')[0]!
  await ask(proxy.url, { Cookie: cookie })
  const members = () => proxy.lines().filter(({ msg, tier }) => msg === 'request' && tier === 'member')
  await eventually('it is a member at both', async () => {
    await Promise.all(Array.from({ length: 8 }, () => ask(proxy.url, { Cookie: cookie })))
    return isOfBoth(members())
  })
  t.equal(new Set(members().map(({ key }) => key)).size, 1)
  t.equal(await proxy.metric('sluice_admissions_total{result="admitted"}'), 1, 'it was admitted once')
  t.equal(await proxy.metric('sluice_bad_device_marks_total{reason="forged"}'), 0)
})

t.test('a worker that is killed is replaced, told of once and counted; no counter falls', async (t) => {
  const proxy = await start(t, AMPLE)
  t.equal(await proxy.metric('sluice_workers'), 2)
  for (let i = 0; i < 20; i++) await ask(proxy.url)
  const total = 'sluice_requests_total{route="default",outcome="forwarded"}'
  await eventually('all are counted', async () => (await proxy.metric(total)) === 20)
  const before = proxy.pids()
  process.kill(before[1]!, 'SIGKILL')
  await eventually('it is noticed', async () => (await proxy.metric('sluice_worker_deaths_total')) === 1)
  t.equal(await proxy.metric(total), 20)
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200, 'the other one serves')
  t.equal(await ask(proxy.url), 200)
  await eventually('it is replaced', async () => (await proxy.metric('sluice_workers')) === 2)
  t.equal(proxy.pids().filter((pid) => before.includes(pid)).length, 1)
  for (let i = 0; i < 9; i++) t.equal(await ask(proxy.url), 200)
  await eventually('all are counted', async () => (await proxy.metric(total)) === 30)
  const deaths = proxy.lines().filter(({ msg }) => msg.startsWith('a worker died'))
  t.match(deaths, [{ worker: 2, pid: before[1], signal: 'SIGKILL', again_in_ms: 250 }])

  process.kill(proxy.pids()[1]!, 'SIGKILL')
  await eventually('again', async () => (await proxy.metric('sluice_worker_deaths_total')) === 2)
  const again = proxy.lines().filter(({ msg }) => msg.startsWith('a worker died'))
  t.equal(again[1]!.again_in_ms, again[1]!.worker === 2 ? 500 : 250, 'one that dies at once waits longer for the next')
})

t.test('twenty reloads under load and a SIGTERM lose no request; a bad policy leaves the old one in all', async (t) => {
  const proxy = await start(t, AMPLE)
  const loads = await loadBoth(proxy, false)
  for (let i = 1; i <= 20; i++) {
    proxy.write(AMPLE.replace('1000000', `${1_000_000 - i}`))
    proxy.child.kill('SIGHUP')
    await delay(20)
  }
  const burst = () => proxy.metric('sluice_limit_burst{limit="device"}')
  await eventually('the last is in force', async () => (await burst()) === 999_980)
  const reloads = await proxy.metric('sluice_config_reloads_total{result="success"}')
  t.ok(reloads >= 3 && reloads <= 42, `${reloads}: each is counted once, not in each worker`)
  proxy.write('limits: [{name: device')
  const isGood = () => proxy.metric('sluice_config_last_reload_successful')
  await eventually('it is refused', async () => (await isGood()) === 0)
  t.ok((await proxy.metric('sluice_config_reloads_total{result="failure"}')) >= 1)
  t.equal(await burst(), 999_980)
  const began = performance.now()
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)
  t.ok(performance.now() - began < 10_000)
  let answered = 0
  for (const load of loads) {
    const { statuses, failures } = await load.stop()
    t.same(failures, [])
    t.same(Object.keys(statuses), ['200'])
    answered += load.answered()
  }
  t.ok(answered > 200)
  t.equal(answered, proxy.served(), 'each request once')
})

t.test('a reload holds in every worker, also in one that comes later', async (t) => {
  const proxy = await start(t, AMPLE)
  const deny = `${AMPLE}\ndeny: [{name: all, status: 451}]`
  proxy.write(deny)
  await eventually('it is in force', async () => (await ask(proxy.url)) === 451)
  await eventually('in all', async () => (await proxy.metric('sluice_config_reloads_total{result="success"}')) === 2)
  process.kill(proxy.pids()[0]!, 'SIGKILL')
  await eventually('it is replaced', async () => {
    return (await proxy.metric('sluice_worker_deaths_total')) === 1 && (await proxy.metric('sluice_workers')) === 2
  })
  for (let i = 0; i < 6; i++) t.equal(await ask(proxy.url), 451)
})

t.test('open WebSockets of all workers end with 1001', async (t) => {
  const proxy = await start(t, AMPLE)
  const far = new WebSocketServer({ server: proxy.upstream })
  const codes: number[] = []
  far.on('connection', (socket) => socket.on('close', (code) => codes.push(code)))
  for (let i = 0; i < 6; i++) {
    const socket = new WebSocket(proxy.url.replace('http', 'ws'))
    t.teardown(() => socket.terminate())
    socket.on('close', (code) => codes.push(code))
    await once(socket, 'open')
  }
  t.equal(await proxy.metric('sluice_upgrades_active'), 6)
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)
  await eventually('all have ended', () => codes.length === 12)
  t.same(new Set(codes), new Set([1001]))
})

t.test('while it drains /readyz says 503; a second signal ends all processes at once', async (t) => {
  const proxy = await start(t, AMPLE, { server: ', drain_delay: 30s' })
  const pids = proxy.pids()
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200)
  proxy.child.kill('SIGTERM')
  await proxy.waitFor(/"draining"/)
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 503)
  t.equal(await ask(proxy.url), 200)
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 1)
  await eventually('the workers are gone', () => !pids.some(isAlive))
})

t.test('workers end with their primary', async (t) => {
  const proxy = await start(t, AMPLE)
  const pids = proxy.pids()
  t.equal(pids.length, 2)
  proxy.child.kill('SIGKILL')
  await eventually('they are gone', () => !pids.some(isAlive))
})

t.test('signals to a worker are its primary’s business', async (t) => {
  const proxy = await start(t, AMPLE)
  for (const pid of proxy.pids()) for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.kill(pid, signal)
  for (let i = 0; i < 6; i++) t.equal(await ask(proxy.url), 200)
  t.equal(await proxy.metric('sluice_worker_deaths_total'), 0)
})

/** All but those of Node's own runtime, which come with its first garbage collection, heap space or kind of handle. */
function seriesOf(metrics: string): string[] {
  const lines = metrics.split('\n').filter((line) => line !== '' && !/^(#|nodejs_)/.test(line))
  return lines.map((line) => line.slice(0, line.lastIndexOf(' '))).sort()
}

t.test('the metrics of two workers are the series of one, and as promtool expects', async (t) => {
  const scrapes: string[] = []
  for (const workers of ['1', '2']) {
    const proxy = await start(t, AMPLE, { workers })
    for (let i = 0; i < 10; i++) await ask(proxy.url)
    await eventually(
      'counted',
      async () => (await proxy.metric('sluice_responses_total{route="default",code="200"}')) === 10,
    )
    scrapes.push(await proxy.scrape())
  }
  t.same(seriesOf(scrapes[1]!), seriesOf(scrapes[0]!))
  t.match(scrapes[1], /^sluice_limit_burst\{limit="device"\} 1000000$/m)
  t.match(scrapes[1], /^sluice_build_info\{[^}]*\} 1$/m)
  t.match(scrapes[1], /^sluice_config_reloads_total\{result="success"\} 1$/m)
  t.match(scrapes[1], /^sluice_request_duration_seconds_count\{outcome="forwarded"\} 10$/m)
  t.match(scrapes[1], /^sluice_store_up 1$/m)
  const promtool = spawn('promtool', ['check', 'metrics'])
  promtool.stdin.end(scrapes[1])
  const [said, [code]] = await Promise.all([text(promtool.stderr), once(promtool, 'close')])
  t.equal(code, 0, said)
  t.equal(said, '')
})

t.test('together workers hold no more than server.max_connections', async (t) => {
  const proxy = await start(t, AMPLE, { server: ', max_connections: 4' })
  const { port } = new URL(proxy.url)
  let open = 0
  for (let i = 0; i < 40; i++) {
    const socket = connect(Number(port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('connect', () => open++)
    socket.on('close', () => open--)
    socket.on('error', () => {})
    await once(socket, 'connect')
  }
  await eventually('what is beyond is closed', () => open <= 4)
  t.ok(open >= 2, `${open}`)
})

t.test('lines of all workers are whole under load, and say whose they are', async (t) => {
  const proxy = await start(t, AMPLE)
  const loads = await loadBoth(proxy, true)
  const answered = () => loads.reduce((sum, load) => sum + load.answered(), 0)
  await eventually('there are many', () => answered() > 3000, 60_000)
  for (const load of loads) t.same((await load.stop()).failures, [])
  const written = () => proxy.lines().filter(({ msg }) => msg === 'request')
  await eventually('all are written', () => written().length === answered())
  t.ok(isOfBoth(written()))
})

t.test('a port that is taken is told as by one process, with exit code 1', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const file = join(t.testdir({ 'sluice.yaml': 'version: 1\nserver: {workers: 2}\n' }), 'sluice.yaml')
  for (const [listen, admin, key] of [
    [port, 0, 'listen'],
    [0, port, 'admin'],
  ] as const) {
    const env = { SLUICE_LISTEN: `127.0.0.1:${listen}`, SLUICE_ADMIN: `127.0.0.1:${admin}`, SLUICE_SECRET: SECRET }
    const failed = run(t, 'main.js', ['-c', file], env)
    t.equal(await failed.ended, 1)
    t.equal(
      failed.output().err,
      `sluice: ${key}: cannot listen on 127.0.0.1:${port}: it is taken; set ${key} to a free one\n`,
    )
  }
})
