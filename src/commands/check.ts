import { parseArgs } from 'node:util'
import { SluiceError } from '../errors.ts'
import { DEFAULT_TEXT, defaultPolicy, type ParseResult } from '../policy/parse.ts'
import { printPolicy } from '../policy/print.ts'
import { formatProblem, type Problem } from '../policy/problem.ts'
import { readPolicy, readText } from '../policy/read.ts'
import type { CommandIo, ExitCode } from './command.ts'
import { unknownOption } from './usage.ts'

const USAGE = `usage: sluice check [--json] <file>...
       sluice check --print [<file>...]
`

const OPTIONS = { json: { type: 'boolean' }, print: { type: 'boolean' } } as const

type Wanted = { readonly files: readonly (string | null)[]; readonly as: 'text' | 'json' | 'yaml' }

/** A policy that was read; `text` is what its file holds, `file` is null where it is the default policy. */
type Checked = { readonly file: string | null; readonly text: string; readonly result: ParseResult }

/**
 * `sluice check [--json | --print] <file>...`: reads each policy as `serve` would, environment included. Problems and
 * warnings go to `err`, a line for each good file to `out`; with `--json` all of them to `out`, as one list; with `--print`
 * each good policy to `out`, as it would be in force, and without a file the one that `serve` without an option would take.
 * Resolves with 0 when all are good, warnings or not, 1 when one is not, 2 for wrong usage.
 */
export async function check(args: readonly string[], io: CommandIo): Promise<ExitCode> {
  const wanted = readArguments(args, io)
  if (wanted === null) {
    io.err(USAGE)
    return 2
  }
  // Every file is read, also after a bad one: all problems in one go.
  const checked = wanted.files.map((file) => checkFile(file, io))
  if (wanted.as === 'json')
    io.out(
      `${JSON.stringify(
        checked.flatMap(({ result }) => findings(result)),
        null,
        2,
      )}\n`,
    )
  else for (const one of checked) tell(one, io, wanted.as === 'yaml')
  return checked.every(({ result }) => result.ok) ? 0 : 1
}

function checkFile(file: string | null, { env }: CommandIo): Checked {
  if (file === null) return { file, text: DEFAULT_TEXT, result: defaultPolicy(env) }
  let text = ''
  try {
    const result = readPolicy(file, env, (name, maxBytes) => {
      const read = readText(name, maxBytes)
      // Kept, for what is no regular file can be read once only.
      if (name === file) text = read
      return read
    })
    return { file, text, result }
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error
    const message = error.message.slice(`${file}: `.length)
    const problem = { file, line: null, column: null, path: '', message, sourceLine: null }
    return { file, text, result: { ok: false, problems: [problem], warnings: [] } }
  }
}

function tell({ file, text, result }: Checked, io: CommandIo, isPrinted: boolean): void {
  for (const warning of result.warnings) io.err(`${formatProblem(warning, 'warning')}\n`)
  if (!result.ok) {
    for (const problem of result.problems) io.err(`${formatProblem(problem)}\n`)
    return
  }
  const { limits, hash } = result.policy
  const name = file ?? 'the default policy'
  const summary = `${name}: ok (${limits.length} ${limits.length === 1 ? 'limit' : 'limits'}, hash ${hash})\n`
  io.out(isPrinted ? `---\n# ${summary}${printPolicy({ text, file, env: io.env })}` : summary)
}

/** What `--json` prints: a list, of which a program needs to know nothing but these members. */
function findings(result: ParseResult): object[] {
  const found = (severity: 'error' | 'warning') => {
    return ({ file, line, column, path, message }: Problem) => ({ file, line, column, path, message, severity })
  }
  return [...(result.ok ? [] : result.problems).map(found('error')), ...result.warnings.map(found('warning'))]
}

function readArguments(args: readonly string[], { env, err }: CommandIo): Wanted | null {
  try {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS })
    if (values.json && values.print) return null
    if (values.print) return { files: positionals.length > 0 ? positionals : [env.SLUICE_CONFIG || null], as: 'yaml' }
    return positionals.length > 0 ? { files: positionals, as: values.json ? 'json' : 'text' } : null
  } catch (cause) {
    err(`sluice: ${unknownOption(cause, 'check', OPTIONS)}\n`)
    return null
  }
}
