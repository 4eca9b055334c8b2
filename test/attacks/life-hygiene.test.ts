import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { WebSocket } from 'ws'
import { freePort, serve } from '../e2e/process.ts'
import { eventually } from '../fixtures/app.ts'
import { startLoad } from '../fixtures/load.ts'
import { get, openClient } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/** The process ends by a signal and by nothing else (faults, section Life). */

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

t.test('an error that nobody caught, or a rejection, is logged and counted, and the process goes on', async (t) => {
  const preload = join(t.testdir({}), 'throw.mjs')
  writeFileSync(
    preload,
    `process.on('SIGUSR2', () => {
      setTimeout(() => { throw new Error('thrown on purpose') })
      Promise.reject(new Error('rejected on purpose'))
      Promise.reject(undefined)
    })`,
  )
  const upstream = await startUpstream(t)
  const proxy = await serve(t, { SLUICE_UPSTREAM: upstream.url, NODE_OPTIONS: `--import=${preload}` })
  proxy.child.kill('SIGUSR2')
  await proxy.waitFor(/thrown on purpose/)
  await proxy.waitFor(/rejected on purpose/)
  await eventually('all are counted', async () =>
    /^sluice_uncaught_errors_total 3$/m.test(await (await fetch(`${proxy.adminUrl}/metrics`)).text()),
  )
  t.equal((await fetch(proxy.url)).status, 200)
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)
})

t.test('out of file descriptors (EMFILE) it neither ends nor spins, and serves again when some are free', async (t) => {
  const upstream = await startUpstream(t)
  const [port, adminPort] = [await freePort(), await freePort()]
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env.PATH,
      SLUICE_UPSTREAM: upstream.url,
      SLUICE_LISTEN: `127.0.0.1:${port}`,
      SLUICE_ADMIN: `127.0.0.1:${adminPort}`,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const works = (url: string) =>
    fetch(url, { headers: { connection: 'close' } })
      .then((answer) => answer.status === 200)
      .catch(() => false)
  const [url, adminUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${adminPort}/livez`]
  await eventually('it listens', () => works(adminUrl), 20_000)
  t.ok(await works(url))
  // Not before: node reads its modules many at a time.
  await promisify(execFile)('prlimit', ['--pid', String(child.pid), '--nofile=64:64'])

  const flood: Socket[] = []
  let turnedAway = 0
  for (let i = 0; i < 200; i++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {}).on('close', () => turnedAway++)
    socket.resume()
    flood.push(socket)
  }
  t.teardown(() => {
    for (const socket of flood) socket.destroy()
  })
  await eventually('some are turned away', () => turnedAway > 100)
  t.ok(readdirSync(`/proc/${child.pid}/fd`).length >= 60, 'the descriptors are used up')
  const before = cpuTicks(child.pid!)
  await delay(1000)
  t.ok(cpuTicks(child.pid!) - before < 50, 'it waits, it does not spin (ticks of 10 ms)')
  t.equal(child.exitCode, null)

  for (const socket of flood) socket.destroy()
  await eventually('it serves again', () => works(url))
  await eventually('the admin port too', () => works(adminUrl))
  child.kill('SIGTERM')
  t.equal((await ended)[0], 0)
})

t.test('no file descriptor is left behind, whatever became of the requests', async (t) => {
  const upstream = await startUpstream(t, async (turn) => {
    if (turn.request.target.endsWith('/cut')) return void turn.socket.destroy()
    if (turn.request.one('upgrade') !== undefined) return void turn.socket.destroy()
    if (turn.request.target === '/endless') {
      return turn.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n')
    }
    await turn.body()
    turn.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const file = join(t.testdir({}), 'p.yaml')
  const policy = (burst: number) =>
    `version: 1\nlog: {access: 'off'}\nupstream: {url: '${upstream.url}', keep_alive_timeout: 500ms}\n` +
    `limits: [{name: all, per: global, rate: 200000/s, burst: ${burst}}, {name: seldom, per: global, rate: 1/s, match: {path: /1/**}}]\n`
  writeFileSync(file, policy(200_000))
  const proxy = await serve(t, {}, ['-c', file])
  const descriptors = () => readdirSync(`/proc/${proxy.child.pid}/fd`).length
  t.equal((await fetch(proxy.url, { headers: { connection: 'close' } })).status, 200)
  await delay(1500)
  const before = descriptors()

  const load = startLoad(proxy.url, { connections: 32 })
  for (let i = 1; i <= 20; i++) {
    writeFileSync(file, policy(200_000 + i))
    proxy.child.kill('SIGHUP')
    const endless = await openClient(t, proxy.url)
    endless.write(get('/endless'))
    await endless.until('data')
    endless.socket.resetAndDestroy()
    const cut = await openClient(t, proxy.url)
    cut.write(get('/cut'))
    const refused = new WebSocket(proxy.url.replace('http', 'ws'))
    await new Promise((resolve) => refused.on('error', resolve).on('close', resolve))
    const half = await openClient(t, proxy.url)
    half.write('GET / HTTP/1.1\r\nHo')
    half.socket.destroy()
    cut.socket.destroy()
  }
  const { statuses, failures } = await load.stop()
  t.same(failures, [])
  t.same(Object.keys(statuses), ['200', '429'])
  t.ok(descriptors() > before - 5)
  await eventually(`no more than ${before} are open`, () => descriptors() <= before, 15_000)
})

/** The processor time that a process has used, in ticks (of 10 ms on Linux). */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return Number(fields[11]) + Number(fields[12])
}
