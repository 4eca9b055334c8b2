import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type App, startApp } from '../app.ts'
import { SluiceError } from '../errors.ts'
import type { LineSink } from '../line-sink.ts'
import { createLog, type Logger, standardOutput } from '../log.ts'
import { defaultPolicy, type ParseResult } from '../policy/parse.ts'
import { formatProblem, type Problem } from '../policy/problem.ts'
import { createPolicySource, type PolicySource } from '../policy/source.ts'
import type { Policy } from '../policy/types.ts'
import { type Watch, watchFiles } from '../policy/watch.ts'
import type { CommandIo, ExitCode } from './command.ts'
import { unknownOption } from './usage.ts'

export type ServeIo = CommandIo & {
  readonly version: string
  /** Calls back on each of the process's signals. */
  onSignal(listener: (signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP') => void): void
  /** Calls back on errors and rejections that nobody caught; from then on they do not end the process. */
  onUncaught(listener: (cause: unknown) => void): void
  /** Ends the process now, whatever is still open. */
  exit(code: number): never
}

/** How long the last log lines may take to be read before the process ends without them. */
const LAST_LINES_PATIENCE = 500

/**
 * `sluice serve [-c file]`: runs the proxy until SIGTERM or SIGINT, then drains and ends the process with 0. SIGHUP, or a
 * change of the policy's files, reads the policy again: a good one is put in force, a bad one leaves the old. Resolves with
 * 1 when the policy has problems at the start or a port is taken, having told them all.
 */
export async function serve(args: readonly string[], io: ServeIo): Promise<ExitCode> {
  const file = readArguments(args, io)
  const source = file === null ? null : createPolicySource(file, io.env)
  const loaded = loadPolicy(source, io)
  if (loaded === null) return 1
  const { policy, warnings } = loaded
  const output = standardOutput()
  const log = createLog({ level: policy.log.level, destination: output })
  warn(log, warnings)
  let app: App
  try {
    app = await start(policy, file, output, log, io)
  } catch (cause) {
    if (!(cause instanceof SluiceError)) throw cause
    io.err(`sluice: ${cause.message}\n`)
    return 1
  }
  io.onUncaught((cause) => {
    app.countUncaught()
    log.fatal({ err: cause }, 'an error that nobody caught: this is a defect of Sluice, which goes on')
  })
  const { url, adminUrl } = app
  log.info({ url, admin: adminUrl, upstream: policy.upstream.url, policy: policy.hash, mode: policy.mode }, 'listening')
  await runUntilSignal(app, source, log, io)
  log.info('ended')
  await output.end(LAST_LINES_PATIENCE)
  // Not left to the event loop: a standard output that nobody reads would keep it going.
  return io.exit(0)
}

/** One process, or several; what the several need is loaded when they are wanted. */
async function start(
  policy: Policy,
  policyFile: string | null,
  output: LineSink,
  log: Logger,
  { version }: ServeIo,
): Promise<App> {
  const options = { log, version, policyFile, droppedLines: output.dropped }
  const workers = policy.server.workers === 'auto' ? availableParallelism() : policy.server.workers
  if (workers === 1) return startApp(policy, options)
  const { startPrimary } = await import('../workers/primary.ts')
  return startPrimary(policy, { ...options, workers, write: output.write })
}

/** Resolves when a signal to end has come and all is drained. */
function runUntilSignal(app: App, source: PolicySource | null, log: Logger, io: ServeIo): Promise<void> {
  const watch = source === null ? null : watchSource(source, () => reload(app, source, log, io), log)
  return new Promise((resolve) => {
    let isEnding = false
    io.onSignal((signal) => {
      if (signal === 'SIGHUP') return reload(app, source, log, io)
      if (isEnding) return io.exit(1)
      isEnding = true
      log.info({ signal }, 'draining')
      watch?.close()
      app
        .close()
        .catch((err: unknown) => log.error({ err }, 'the end was not clean'))
        .finally(resolve)
    })
  })
}

function watchSource(source: PolicySource, changed: () => void, log: Logger): Watch {
  return watchFiles({
    files: source.files,
    look() {
      if (source.hasChanged()) changed()
    },
    onDeaf: (folder, cause) =>
      log.warn(
        { folder, cause: String(cause) },
        'cannot watch the folder of a policy file; looking at it by the clock',
      ),
  })
}

function reload(app: App, source: PolicySource | null, log: Logger, io: ServeIo): void {
  const problems: string[] = []
  const loaded = loadPolicy(source, { ...io, err: (text) => problems.push(text.trimEnd()) })
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
function loadPolicy(source: PolicySource | null, io: CommandIo): Extract<ParseResult, { ok: true }> | null {
  let result: ParseResult
  try {
    result = source === null ? defaultPolicy(io.env) : source.read()
  } catch (cause) {
    if (!(cause instanceof SluiceError)) throw cause
    io.err(`sluice: ${cause.message}\n`)
    return null
  }
  if (result.ok) return result
  for (const problem of result.problems) io.err(`${formatProblem(problem)}\n`)
  return null
}

const OPTIONS = { config: { type: 'string', short: 'c' } } as const

function readArguments(args: readonly string[], { env }: CommandIo): string | null {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    return values.config ?? (env.SLUICE_CONFIG || null)
  } catch (cause) {
    throw new SluiceError('usage', `${unknownOption(cause, 'serve', OPTIONS)}; usage: sluice serve [-c file]`, {
      cause,
    })
  }
}
