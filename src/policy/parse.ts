import { dirname } from 'node:path'
import { isGivenIn } from './data.ts'
import { openDocument } from './document.ts'
import type { Draft, Report } from './draft.ts'
import { misspeltVariables, originOf } from './environment.ts'
import { type ReadFile, readFiles } from './files.ts'
import { explainKey } from './known-keys.ts'
import { createLocator } from './locator.ts'
import { type Path, pathText } from './path.ts'
import { byPosition, type Problem } from './problem.ts'
import { resolve } from './resolve.ts'
import { checkRules, warnAbout } from './rules.ts'
import { type PolicyFile, policySchema } from './schema.ts'
import { show } from './show.ts'
import type { Env } from './substitute.ts'
import type { Policy } from './types.ts'
import { BROKEN, validate } from './validate.ts'

export type ParseOptions = {
  /** The policy as YAML. */
  readonly text: string
  /** The file's name, for problems and as what other files are relative to; null where there is none. */
  readonly file: string | null
  readonly env: Env
  readonly readFile: ReadFile
  /** Milliseconds since the epoch, for what has expired; now by default. */
  readonly now?: number
}

/** A policy, or all its problems, both sorted by where they stand. Warnings come with either. */
export type ParseResult =
  | { readonly ok: true; readonly policy: Policy; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] }

/**
 * Reads a policy: the file, the environment's overrides, the files it names. It gives all problems at once and never
 * throws for what a file says; no problem and no warning contains a secret.
 */
export function parsePolicy({ text, file, env, readFile, now = Date.now() }: ParseOptions): ParseResult {
  const { loaded, root, origins, redactor } = openDocument(text, env)
  const { problemAt, problemFor, isClear } = createLocator({ file, loaded, origins, redactor })
  const problems = loaded.problems.map(({ offset, path, message }) => problemAt(offset, path, message))
  const elsewhere: Problem[] = []
  const warnings: Problem[] = []
  const isSound = loaded.soundUntil === Number.POSITIVE_INFINITY
  const failed = (): ParseResult => {
    return { ok: false, problems: [...problems.sort(byPosition), ...elsewhere], warnings: warnings.sort(byPosition) }
  }

  for (const { name, meant } of misspeltVariables(env, new Set(loaded.variables))) {
    const message = `is set, but is no variable that is read; write ${meant}`
    warnings.push({ file: null, line: null, column: null, path: name, message, sourceLine: null })
  }
  if (root === undefined) {
    if (loaded.value !== BROKEN && isSound) problems.push(problemFor([], explainRoot(loaded.value)))
    return failed()
  }
  const textAt = (path: Path) => (originOf(origins, path) ? undefined : loaded.places.get(pathText(path))?.text)
  const { value, issues } = validate(policySchema, root, { explainKey, textAt })
  for (const { path, message, at } of issues) if (isClear(path, at)) problems.push(problemFor(path, message, at))
  // Rules between keys would miss what stands in the broken part, and say so wrongly.
  if (!isSound) return failed()

  const draft = value as Draft
  const isGiven = (path: Path) => isGivenIn(root, path)
  const report: Report = (path, message) => problems.push(problemFor(path, message))
  const warn: Report = (path, message) => warnings.push(problemFor(path, message))
  checkRules(draft, isGiven, report)
  warnAbout(draft, isGiven, now, warn)
  const contents = readFiles(draft, {
    readFile,
    folder: file === null ? '.' : dirname(file),
    report,
    reportKey: (keys, { line, message }) =>
      elsewhere.push({ file: keys, line, column: 1, path: '', message, sourceLine: null }),
  })
  if (problems.length > 0 || elsewhere.length > 0) return failed()
  return { ok: true, policy: resolve(value as PolicyFile, contents), warnings: warnings.sort(byPosition) }
}

/** What a policy without any file says. */
export const DEFAULT_TEXT = 'version: 1'

/** The policy without any file: what `version: 1` alone says, and the environment's overrides. */
export function defaultPolicy(env: Env): ParseResult {
  // Neither the line nor an override can name a file.
  return parsePolicy({ text: DEFAULT_TEXT, file: null, env, readFile: () => '' })
}

function explainRoot(value: unknown): string {
  if (value === null) return 'the file is empty; write version: 1'
  return `the file is not a map of keys but ${show(value)}; write version: 1 and the keys below it`
}
