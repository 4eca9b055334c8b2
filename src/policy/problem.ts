/** One thing that is wrong with a policy, or, as a warning, odd about it. It never contains a secret. */
export type Problem = {
  /** The file it stands in; null for a variable of the environment. */
  readonly file: string | null
  /** From 1; null where the problem has no place in the file. */
  readonly line: number | null
  /** From 1, in characters; null where the problem has no place in the file. */
  readonly column: number | null
  /** `limits[0].rate`, or the name of the environment's variable; empty for the file as a whole. */
  readonly path: string
  /** What is wrong, and what to write. */
  readonly message: string
  /** The line, cut before anything secret; null where there is none to show. */
  readonly sourceLine: string | null
}

/** `file:line:col: path: what is wrong, and what to write`, then the source line and a caret below the place. */
export function formatProblem(problem: Problem, label?: 'warning'): string {
  const { file, line, column, path, message, sourceLine } = problem
  const place = [file, line, line === null ? null : column].filter((part) => part !== null).join(':')
  const head = [place, label ?? '', path, message].filter((part) => part !== '').join(': ')
  if (sourceLine === null || column === null) return head
  return `${head}\n${sourceLine}\n${caretIndent(sourceLine, column)}^`
}

/** Orders problems as a reader meets them: by line and column, those without a place last. */
export function byPosition(a: Problem, b: Problem): number {
  if (a.line === null || b.line === null) return Number(a.line === null) - Number(b.line === null)
  return a.line - b.line || (a.column ?? 0) - (b.column ?? 0)
}

/** Tabs stay tabs, so that the caret stands below its character however wide the terminal draws them. */
function caretIndent(sourceLine: string, column: number): string {
  return sourceLine
    .slice(0, column - 1)
    .replace(/[^\t]/g, ' ')
    .padEnd(Math.min(column - 1, sourceLine.length), ' ')
}
