import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export type Server = { readonly pid: number; readonly port: number; stop(): Promise<void> }

/** Where the process under test runs; what loads it, and what stands behind it, runs on another core. */
const CORES = coresOfThisProcess()
const CORE_UNDER_TEST = String(CORES.at(-1))
const CORE_OF_THE_LOAD = String(CORES[0])
const PATIENCE = 60_000

/** None outlives this process. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** With one core there is nothing to keep apart. */
export const IS_PINNED = CORES.length > 1

/** A command that runs there. taskset becomes the command: the process that is measured is the command's own. */
export function onCoreUnderTest(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  return IS_PINNED ? ['taskset', '-c', CORE_UNDER_TEST, ...command] : command
}

/** Moves this process, and with it all that it starts and does not pin elsewhere, to the core of the load. */
export async function pinToLoadCore(): Promise<void> {
  if (!IS_PINNED) return
  await once(spawn('taskset', ['-acp', CORE_OF_THE_LOAD, String(process.pid)], { stdio: 'ignore' }), 'close')
}

/**
 * Starts a server and resolves when its port takes connections; rejects with what it wrote when it ends before. What it writes
 * later is read and dropped, as a container's runtime would read it.
 */
export async function startServer(
  command: readonly [string, ...string[]],
  options: { readonly port: number; readonly isUnderTest: boolean; readonly env?: Readonly<Record<string, string>> },
): Promise<Server> {
  const { port, isUnderTest, env = {} } = options
  const [program, ...args] = isUnderTest ? onCoreUnderTest(command) : command
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let written = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      if (written.length < 4000) written += chunk.toString()
    })
  }
  running.add(child)
  const end = performance.now() + PATIENCE
  while (!(await takesConnections(port))) {
    if (hasEnded(child) || performance.now() > end) {
      child.kill('SIGKILL')
      throw new Error(`${command.join(' ')} does not listen on ${port}:\n${written}`)
    }
    await delay(20)
  }
  return {
    pid: child.pid!,
    port,
    async stop() {
      running.delete(child)
      if (hasEnded(child)) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 3000)
      await ended
      clearTimeout(late)
    },
  }
}

/** proc(5): `Cpus_allowed_list`, as in `0-3,8`. */
function coresOfThisProcess(): readonly number[] {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))!
  return list!.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i)
  })
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
