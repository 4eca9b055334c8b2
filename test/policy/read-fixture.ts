import { readFileSync } from 'node:fs'
import { type ParseResult, parsePolicy } from '../../src/policy/parse.ts'
import type { Problem } from '../../src/policy/problem.ts'
import type { Env } from '../../src/policy/substitute.ts'
import type { Policy } from '../../src/policy/types.ts'

/** A secret that is long enough. */
export const SECRET = '0123456789abcdef0123456789abcdef'

/** The moment at which the tests take place. */
export const NOW = Date.UTC(2026, 6, 1)

/** Parses a text as if it were policy.yaml, with the files given by name. */
export function parse(text: string, env: Env = {}, files: Readonly<Record<string, string>> = {}): ParseResult {
  return parsePolicy({ text, file: 'policy.yaml', env, readFile: (name) => fileOf(files, name), now: NOW })
}

/** The policy of a text that must be good. */
export function policyOf(text: string, env: Env = {}, files: Readonly<Record<string, string>> = {}): Policy {
  const result = parse(text, env, files)
  if (!result.ok) throw new Error(result.problems.map(brief).join('\n'))
  return result.policy
}

/** The problems of a text, as `path: message`; empty when it is good. */
export function problemsOf(text: string, env: Env = {}, files: Readonly<Record<string, string>> = {}): string[] {
  const result = parse(text, env, files)
  return result.ok ? [] : result.problems.map(brief)
}

/** Reads a file below fixtures/. */
export function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')
}

/** A problem without its place. */
export function brief({ path, message }: Problem): string {
  return `${path}: ${message}`
}

function fileOf(files: Readonly<Record<string, string>>, name: string): string {
  const text = files[name]
  if (text === undefined) throw Object.assign(new Error('none'), { code: 'ENOENT' })
  return text
}
