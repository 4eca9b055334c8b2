import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Teardown } from '../fixtures/upstream.ts'

/** The project's folder: npm and tap run everything there. */
const ROOT = `${process.cwd()}/`

export type Running = {
  readonly child: ChildProcess
  /** What it has written so far. */
  readonly output: () => { readonly out: string; readonly err: string }
  /** Resolves with the match when standard output has one; rejects when the process ends before. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves with the exit code when the process has ended. */
  readonly ended: Promise<number | null>
}

/** Runs a built program (`main.js`, `start.js`) with this environment alone; ended with the test. */
export function run(t: Teardown, program: string, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [`${ROOT}dist/${program}`, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    child.emit('output')
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const ended = once(child, 'close').then(([code]) => {
    child.emit('output')
    return code as number | null
  })
  t.teardown(async () => {
    if (child.exitCode === null) child.kill('SIGKILL')
    await ended
  })

  async function waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(out)
      if (match !== null) return match
      if (child.exitCode !== null) throw new Error(`${program} ended before it wrote ${pattern}:\n${out}${err}`)
      await once(child, 'output')
    }
  }

  return { child, output: () => ({ out, err }), waitFor, ended }
}

/** Runs `sluice serve` on free ports and gives where it listens. */
export async function serve(t: Teardown, env: Record<string, string>, args: readonly string[] = []) {
  const running = run(t, 'main.js', args, { SLUICE_LISTEN: '127.0.0.1:0', SLUICE_ADMIN: '127.0.0.1:0', ...env })
  const [line] = await running.waitFor(/^.*"listening".*$/m)
  const { url, admin } = JSON.parse(line) as { url: string; admin: string }
  return { ...running, url, adminUrl: admin }
}

/** A port nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
