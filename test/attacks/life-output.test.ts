import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { freePort } from '../e2e/process.ts'
import { eventually } from '../fixtures/app.ts'
import { startLoad } from '../fixtures/load.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/** Standard output that blocks, is full or is gone stops neither traffic nor signals (faults, section Life). */

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** The built proxy with its standard output on `out`, which is closed here. */
async function serveInto(t: Test, out: number) {
  const upstream = await startUpstream(t)
  const [port, adminPort] = [await freePort(), await freePort()]
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env.PATH,
      SLUICE_UPSTREAM: upstream.url,
      SLUICE_LISTEN: `127.0.0.1:${port}`,
      SLUICE_ADMIN: `127.0.0.1:${adminPort}`,
    },
    stdio: ['ignore', out, 'inherit'],
  })
  closeSync(out)
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const [url, adminUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${adminPort}`]
  await eventually(
    'it listens',
    () =>
      fetch(`${adminUrl}/livez`)
        .then(() => true)
        .catch(() => false),
    20_000,
  )
  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${adminUrl}/metrics`)).text()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
  return { child, ended, url, metric, dropped: () => metric('sluice_log_lines_dropped_total') }
}

/** Traffic goes on until lines are dropped and after, memory stays, and the signals are heard. */
async function holds(t: Test, proxy: Awaited<ReturnType<typeof serveInto>>): Promise<void> {
  const { child, ended, url, metric, dropped } = proxy
  const load = startLoad(url, { connections: 16 })
  await eventually('lines are dropped', async () => (await dropped()) > 100, 60_000)
  const rss = residentBytes(child.pid!)
  const answered = load.answered()
  await eventually('and traffic goes on', () => load.answered() > answered + 500, 60_000)
  const { failures } = await load.stop()
  t.same(failures, [])
  t.ok(residentBytes(child.pid!) - rss < 64 * 1024 * 1024, 'what is dropped is not kept')
  child.kill('SIGHUP')
  await eventually('SIGHUP is heard', async () => (await metric('sluice_config_reloads_total{result="success"}')) === 2)
  child.kill('SIGTERM')
  const [code] = await ended
  t.equal(code, 0, 'SIGTERM is heard')
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

function fifo(t: Test): { readonly reader: number; readonly writer: number } {
  const name = join(t.testdir({}), 'fifo')
  execFileSync('mkfifo', [name])
  const reader = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK)
  return { reader, writer: openSync(name, constants.O_WRONLY) }
}

t.test('a full disk', async (t) => {
  await holds(t, await serveInto(t, openSync('/dev/full', 'w')))
})

t.test('a pipe that nobody reads', async (t) => {
  const { reader, writer } = fifo(t)
  t.teardown(() => closeSync(reader))
  await holds(t, await serveInto(t, writer))
})

t.test('a pipe whose reader has gone', async (t) => {
  const { reader, writer } = fifo(t)
  const proxy = await serveInto(t, writer)
  t.equal(await proxy.dropped(), 0)
  closeSync(reader)
  await holds(t, proxy)
})
