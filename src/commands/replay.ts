import { closeSync, openSync, writeSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { SluiceError } from '../errors.ts'
import { defaultPolicy } from '../policy/parse.ts'
import { formatProblem } from '../policy/problem.ts'
import { readPolicy } from '../policy/read.ts'
import type { Policy } from '../policy/types.ts'
import { FORMATS, type Format } from '../replay/line.ts'
import { sizeOf } from '../replay/log-lines.ts'
import { type Replayed, type ReplayOptions, replay as run, type Sample } from '../replay/replay.ts'
import { percent, report } from '../replay/report.ts'
import { summarize } from '../replay/summary.ts'
import { isRefused } from '../replay/tally.ts'
import type { CommandIo, ExitCode } from './command.ts'
import { unknownOption } from './usage.ts'

export type ReplayIo = CommandIo & {
  readonly input: Readable
  /** Writes over the last progress; null where nobody watches. */
  readonly progress: ((text: string) => void) | null
}

type Arguments = {
  readonly files: readonly string[]
  readonly policy: string | null
  readonly against: string | null
  readonly format: Format | null
  /** Shares between 0 and 1. */
  readonly failOver: number | null
  readonly maxUnreadable: number
  readonly json: boolean
  readonly top: number
  readonly refusals: string | null
}

const USAGE =
  'sluice replay <access log...> [--policy file] [--against file] [--format name] [--fail-over 0.1%] [--max-unreadable 10%] [--top n] [--json] [--refusals file]'
const TEXT = { type: 'string' } as const
const OPTIONS = {
  policy: TEXT,
  against: TEXT,
  format: TEXT,
  top: TEXT,
  refusals: TEXT,
  'fail-over': TEXT,
  'max-unreadable': TEXT,
  json: { type: 'boolean' },
} as const
const DEFAULT_TOP = 5
const DEFAULT_MAX_UNREADABLE = 0.1
/** Milliseconds between two looks at how far it is. */
const PROGRESS_EVERY = 200

/**
 * `sluice replay <access log...>`: who would have been refused. Resolves with 1 when a policy has problems, when the log tells of no
 * request, when more than `--max-unreadable` of its lines cannot be read, or when more than `--fail-over` would be refused (newly, where
 * there is `--against`).
 */
export async function replay(args: readonly string[], io: ReplayIo): Promise<ExitCode> {
  const wanted = readArguments(args, io)
  const policy = loadPolicy(wanted.policy, io)
  const against = wanted.against === null ? null : loadPolicy(wanted.against, io)
  if (policy === null || (wanted.against !== null && against === null)) return 1
  const { files, format } = wanted
  const refusals = wanted.refusals === null ? null : openRefusals(wanted.refusals)
  const startMs = performance.now()
  const replayed = await run({
    files,
    format,
    input: io.input,
    policy,
    against: against && withSecretsOf(policy, against),
    onProgress: progressOf(files, io),
    ...(refusals !== null && { onVerdict: refusals.write }),
  }).finally(() => {
    io.progress?.('')
    refusals?.close()
  })
  if (replayed.requests === 0) {
    io.err(`sluice: ${files.join(', ')}: no request found: ${whyNone(replayed)}\n`)
    return 1
  }
  const seconds = (performance.now() - startMs) / 1000
  const summary = summarize(replayed, {
    files,
    policyFile: wanted.policy,
    againstFile: wanted.against,
    top: wanted.top,
    seconds,
  })
  io.out(wanted.json ? `${JSON.stringify(summary, null, 2)}\n` : report(summary))
  const { requests } = summary.difference?.newly_refused ?? summary.policy.refused
  const refused = requests / replayed.requests
  const isOver = wanted.failOver !== null && refused > wanted.failOver
  if (isOver) {
    const what = summary.difference === null ? 'would be refused' : 'would be refused that were not'
    io.err(`sluice: ${percent(refused)} of the requests ${what}, more than ${percent(wanted.failOver)}\n`)
  }
  const unreadable = replayed.unreadable.count / replayed.lines
  const isUnread = unreadable > wanted.maxUnreadable
  if (isUnread) {
    io.err(
      `sluice: ${percent(unreadable)} of the lines could not be read, more than --max-unreadable ${percent(wanted.maxUnreadable)}: the result says nothing of them\n`,
    )
  }
  return isOver || isUnread ? 1 : 0
}

/** Why a log tells of no request, with a line of it. */
function whyNone({ lines, noRequest, unreadable, other }: Replayed): string {
  if (lines === 0) return 'it is empty'
  if (unreadable.nearest !== null) {
    const { format, reason, ...sample } = unreadable.nearest
    const nearest = format === null ? `it ${reason}` : `the nearest format is ${format}: ${reason}`
    return `${unreadable.count} of its ${counted(lines, 'line')} cannot be read; ${nearest}; formats are ${FORMATS.join(', ')}${shown(sample)}`
  }
  if (noRequest.first !== null) {
    const { reason, ...sample } = noRequest.first
    return `its ${counted(noRequest.count, 'line')} tell of connections without one; ${reason}${shown(sample)}`
  }
  return `its ${counted(other, 'line')} are of a known format, but are no access lines`
}

function shown({ file, line, text }: Omit<Sample, 'reason'>): string {
  return `\n  ${file}:${line}: ${text}`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** One name for each client under both policies. */
function withSecretsOf({ identity: { secrets } }: Policy, policy: Policy): Policy {
  return { ...policy, identity: { ...policy.identity, secrets } }
}

/** A policy as `serve` would read it; null with all its problems told. */
function loadPolicy(file: string | null, io: CommandIo): Policy | null {
  const result = file === null ? defaultPolicy(io.env) : readPolicy(file, io.env)
  if (result.ok) return result.policy
  for (const problem of result.problems) io.err(`${formatProblem(problem)}\n`)
  return null
}

function progressOf(files: readonly string[], { progress }: ReplayIo): NonNullable<ReplayOptions['onProgress']> {
  const size = sizeOf(files)
  const startMs = performance.now()
  let shownMs = startMs
  return (lines, bytes) => {
    const nowMs = performance.now()
    if (progress === null || nowMs - shownMs < PROGRESS_EVERY) return
    shownMs = nowMs
    const speed = Math.round(lines / ((nowMs - startMs) / 1000))
    progress(`${size === null ? '' : `${bar(bytes / Math.max(1, size))} `}${lines} lines, ${speed}/s`)
  }
}

function bar(share: number): string {
  const done = Math.min(30, Math.floor(30 * share))
  return `[${'='.repeat(done)}${' '.repeat(30 - done)}] ${Math.floor(100 * share)} %`
}

/** Writes a JSON line for each refused request. */
function openRefusals(file: string): { readonly write: NonNullable<ReplayOptions['onVerdict']>; close(): void } {
  const handle = openToWrite(file)
  let lines: string[] = []
  function flush(): void {
    if (lines.length > 0) writeSync(handle, lines.join(''))
    lines = []
  }
  return {
    write(verdict, { file: log, line, timeUs }, requestId) {
      if (!isRefused(verdict)) return
      const { outcome, identity, decision, deniedBy } = verdict
      const waits = (decision?.outcomes ?? []).map((said) => said.waitUs)
      lines.push(
        `${JSON.stringify({
          file: log,
          line,
          time: new Date(timeUs / 1000).toISOString(),
          ...(requestId !== null && { request_id: requestId }),
          outcome,
          key: identity?.id ?? null,
          tier: identity?.tier ?? null,
          binding: decision?.binding?.plan.limit.name ?? deniedBy,
          wait_ms: Math.ceil(Math.max(0, ...waits) / 1000),
        })}\n`,
      )
      if (lines.length >= 1000) flush()
    },
    close() {
      flush()
      closeSync(handle)
    },
  }
}

function openToWrite(file: string): number {
  try {
    return openSync(file, 'w')
  } catch (cause) {
    throw usage(`--refusals: ${(cause as Error).message}`)
  }
}

function readArguments(args: readonly string[], { env }: CommandIo): Arguments {
  const { values, positionals } = parse(args)
  if (positionals.length === 0) throw usage('no access log is given')
  return {
    files: positionals,
    policy: values.policy ?? (env.SLUICE_CONFIG || null),
    against: values.against ?? null,
    format: values.format === undefined ? null : readFormat(values.format),
    failOver: values['fail-over'] === undefined ? null : readShare(values['fail-over']),
    maxUnreadable:
      values['max-unreadable'] === undefined ? DEFAULT_MAX_UNREADABLE : readShare(values['max-unreadable']),
    json: values.json ?? false,
    top: values.top === undefined ? DEFAULT_TOP : readTop(values.top),
    refusals: values.refusals ?? null,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS })
  } catch (cause) {
    throw usage(unknownOption(cause, 'replay', OPTIONS))
  }
}

function readFormat(text: string): Format {
  const format = FORMATS.find((name) => name === text)
  if (format === undefined) throw usage(`'${text}' is not a format; write ${FORMATS.join(', ')}`)
  return format
}

function readShare(text: string): number {
  const percentage = /^(\d{1,3}(?:\.\d+)?) ?%$/.exec(text)?.[1]
  if (percentage === undefined || Number(percentage) > 100) throw usage(`'${text}' is not a share; write 0.1%`)
  return Number(percentage) / 100
}

function readTop(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw usage(`'${text}' is not a number of clients up to 9999; write 5`)
  return Number(text)
}

function usage(what: string): SluiceError {
  return new SluiceError('usage', `${what}; write: ${USAGE}`)
}
