import { parseArgs } from 'node:util'
import { type App, startApp } from '../app.ts'
import { SluiceError } from '../errors.ts'
import { createLog, type Logger } from '../log.ts'
import { defaultPolicy, type ParseResult } from '../policy/parse.ts'
import { formatProblem, type Problem } from '../policy/problem.ts'
import { readPolicy } from '../policy/read.ts'
import type { CommandIo, ExitCode } from './command.ts'

export type ServeIo = CommandIo & {
  readonly version: string
  /** Calls back on each of the process's signals. */
  onSignal(listener: (signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP') => void): void
  /** Ends the process now: the second request to end does not wait. */
  exit(code: number): never
}

/**
 * `sluice serve [-c file]`: runs the proxy until SIGTERM or SIGINT, then drains and resolves with 0. SIGHUP reads the
 * policy again: a good one is put in force, a bad one leaves the old. Resolves with 1 when the policy has problems or a
 * port is taken, having told them all.
 */
export async function serve(args: readonly string[], io: ServeIo): Promise<ExitCode> {
  const file = readArguments(args, io)
  const loaded = loadPolicy(file, io)
  if (loaded === null) return 1
  const { policy, warnings } = loaded
  const log = createLog({ level: policy.log.level })
  warn(log, warnings)
  let app: App
  try {
    app = await startApp(policy, { log, version: io.version })
  } catch (cause) {
    if (!(cause instanceof SluiceError)) throw cause
    io.err(`sluice: ${cause.message}\n`)
    return 1
  }
  const { url, adminUrl } = app
  log.info({ url, admin: adminUrl, upstream: policy.upstream.url, policy: policy.hash, mode: policy.mode }, 'listening')
  return runUntilSignal(app, file, log, io)
}

function runUntilSignal(app: App, file: string | null, log: Logger, io: ServeIo): Promise<ExitCode> {
  return new Promise((resolve) => {
    let isEnding = false
    io.onSignal((signal) => {
      if (signal === 'SIGHUP') return reload(app, file, log, io)
      if (isEnding) return io.exit(1)
      isEnding = true
      log.info({ signal }, 'draining')
      app.close().then(() => {
        log.info('ended')
        resolve(0)
      })
    })
  })
}

function reload(app: App, file: string | null, log: Logger, io: ServeIo): void {
  const problems: string[] = []
  const loaded = loadPolicy(file, { ...io, err: (text) => problems.push(text.trimEnd()) })
  if (loaded !== null) {
    warn(log, loaded.warnings)
    return app.reload(loaded.policy)
  }
  app.refuseReload()
  log.error({ problems }, 'the policy has problems; the one in force stays')
}

function warn(log: Logger, warnings: readonly Problem[]): void {
  for (const warning of warnings) log.warn({ warning: formatProblem(warning) }, 'the policy may not do what was meant')
}

/** The policy of a file, or the default one; null with all its problems told. */
function loadPolicy(file: string | null, io: CommandIo): Extract<ParseResult, { ok: true }> | null {
  let result: ParseResult
  try {
    result = file === null ? defaultPolicy(io.env) : readPolicy(file, io.env)
  } catch (cause) {
    if (!(cause instanceof SluiceError)) throw cause
    io.err(`sluice: ${cause.message}\n`)
    return null
  }
  if (result.ok) return result
  for (const problem of result.problems) io.err(`${formatProblem(problem)}\n`)
  return null
}

function readArguments(args: readonly string[], { env }: CommandIo): string | null {
  try {
    const { values } = parseArgs({ args: [...args], options: { config: { type: 'string', short: 'c' } } })
    return values.config ?? (env.SLUICE_CONFIG || null)
  } catch (cause) {
    throw new SluiceError('usage', `${(cause as Error).message}; write: sluice serve [-c file]`, { cause })
  }
}
