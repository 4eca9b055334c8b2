#!/usr/bin/env node
import type { ExitCode } from './commands/command.ts'
import { asksForHelp, unknownCommand, usageOf } from './commands/usage.ts'
import { SluiceError } from './errors.ts'
import { readVersion } from './version.ts'

const USAGE = `Usage: sluice [command] [options]

  serve [-c file]     run the proxy (the default command); without a file the default policy holds
  check <file...>     tell all problems of policy files; --json for programs, --print for the policies as they would be in force
  explain ...         why a request passes or not: sluice explain -c policy.yaml -H 'User-Agent: x' --from 203.0.113.9 /path,
                      or sluice explain --admin http://127.0.0.1:8081 <request id of a refusal>
  replay <log...>     tell who would have been refused, by an access log: --policy new --against old --fail-over 0.1%
  schema              print the JSON Schema of the policy format
  hash-key [name]     read an API key from standard input, print its line for hashes_file
  version             print the version
  help [command]      print this, or what a command takes

Environment, each wins over the file: SLUICE_CONFIG, SLUICE_UPSTREAM, SLUICE_LISTEN, SLUICE_ADMIN, SLUICE_REDIS_URL,
SLUICE_SECRET, SLUICE_TRUSTED_PROXIES, SLUICE_ADMIN_TOKEN, SLUICE_LOG_LEVEL
`

const io = {
  env: process.env,
  out: (text: string) => void process.stdout.write(text),
  err: (text: string) => void process.stderr.write(text),
}

// Who reads them may have gone.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

async function run(argv: readonly string[]): Promise<ExitCode> {
  const [first, ...rest] = argv
  if (first === 'help' && rest[0] !== undefined) {
    const usage = usageOf(rest[0])
    if (usage === undefined) throw unknownCommand(rest[0])
    return say(usage)
  }
  if (first === 'help' || (first?.startsWith('-') && asksForHelp(argv))) return say(USAGE)
  const usage = first && usageOf(first)
  if (usage && asksForHelp(rest)) return say(usage)
  if (first === '-v' || first === '--version' || first === 'version') return say(`${readVersion()}\n`)
  // Loaded when wanted: what `serve` needs takes most of a second to load, which `version` should not wait for.
  if (first === 'check') return (await import('./commands/check.ts')).check(rest, io)
  if (first === 'explain') return (await import('./commands/explain.ts')).explain(rest, { ...io, input: process.stdin })
  if (first === 'schema') return (await import('./commands/schema.ts')).schema(rest, io)
  if (first === 'replay') return runReplay(rest)
  if (first === 'hash-key')
    return (await import('./commands/hash-key.ts')).hashKey(rest, { ...io, input: process.stdin })
  if (first === 'serve') return runServe(rest)
  // What the primary of several workers starts.
  if (first === 'worker' && process.send !== undefined) return runWorker()
  if (first === undefined || first.startsWith('-')) return runServe(argv)
  throw unknownCommand(first)
}

async function runServe(args: readonly string[]): Promise<ExitCode> {
  const onSignal = catchSignals()
  const { serve } = await import('./commands/serve.ts')
  return serve(args, {
    ...io,
    version: readVersion(),
    onSignal,
    onUncaught: (listener) => process.on('uncaughtException', listener),
    exit: (code) => process.exit(code),
  })
}

async function runWorker(): Promise<ExitCode> {
  // Those of a terminal, or of who stops a group of processes, come to all of them: what is to happen the primary says.
  catchSignals()(() => {})
  const { work } = await import('./workers/worker.ts')
  await work({
    version: readVersion(),
    port: process,
    onUncaught: (listener) => process.on('uncaughtException', listener),
    exit: (code) => process.exit(code),
  })
  return 0
}

async function runReplay(args: readonly string[]): Promise<ExitCode> {
  const { stderr, stdin } = process
  const progress = stderr.isTTY ? (text: string) => void stderr.write(`\r\x1b[K${text}`) : null
  return (await import('./commands/replay.ts')).replay(args, { ...io, input: stdin, progress })
}

type Signal = 'SIGTERM' | 'SIGINT' | 'SIGHUP'

/**
 * Catches the process's signals from now on, and keeps those that come before somebody listens: as process 1 of a
 * container one without a handler is lost, and whoever stops the container would wait for nothing.
 */
function catchSignals(): (listener: (signal: Signal) => void) => void {
  const early: Signal[] = []
  let listener = (signal: Signal): void => void early.push(signal)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => listener(signal))
  return (handle) => {
    listener = handle
    for (const signal of early.splice(0)) handle(signal)
  }
}

function say(text: string): ExitCode {
  io.out(text)
  return 0
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (cause) {
  if (!(cause instanceof SluiceError)) throw cause
  io.err(`sluice: ${cause.message}\n`)
  process.exitCode = cause.code === 'usage' ? 2 : 1
}
