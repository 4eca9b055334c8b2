import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { onCoreUnderTest } from './process.ts'

/** Runs a program of bench/apart/ as a process of its own, on the core under test, and gives what it printed. */
export async function runApart<Result>(name: string): Promise<Result> {
  const [program, ...args] = onCoreUnderTest([process.execPath, '--expose-gc', `dist/bench/bench/apart/${name}.js`])
  return JSON.parse((await promisify(execFile)(program, args)).stdout) as Result
}
