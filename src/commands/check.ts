import { parseArgs } from 'node:util'
import { SluiceError } from '../errors.ts'
import { formatProblem } from '../policy/problem.ts'
import { readPolicy } from '../policy/read.ts'
import type { CommandIo, ExitCode } from './command.ts'

const USAGE = 'usage: sluice check <file>...\n'

/**
 * `sluice check <file>...`: reads each policy as `serve` would, environment included. All problems and warnings go to
 * `err`, a line for each good file to `out`. Resolves with 0 when all are good, 1 when one is not, 2 for wrong usage.
 */
export async function check(args: readonly string[], io: CommandIo): Promise<ExitCode> {
  const files = filesOf(args)
  if (files === undefined) {
    io.err(USAGE)
    return 2
  }
  // Every file is read, also after a bad one: all problems in one go.
  const results = files.map((file) => checkFile(file, io))
  return results.every((isGood) => isGood) ? 0 : 1
}

function checkFile(file: string, io: CommandIo): boolean {
  try {
    const result = readPolicy(file, io.env)
    for (const warning of result.warnings) io.err(`${formatProblem(warning, 'warning')}\n`)
    if (!result.ok) {
      for (const problem of result.problems) io.err(`${formatProblem(problem)}\n`)
      return false
    }
    const { limits, hash } = result.policy
    io.out(`${file}: ok (${limits.length} ${limits.length === 1 ? 'limit' : 'limits'}, hash ${hash})\n`)
    return true
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error
    io.err(`${error.message}\n`)
    return false
  }
}

function filesOf(args: readonly string[]): readonly string[] | undefined {
  try {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} })
    return positionals.length > 0 ? positionals : undefined
  } catch {
    return undefined
  }
}
