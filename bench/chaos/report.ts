import type { Promised } from './run.ts'

/** What both kinds of runs hand to the table: cells by heading, and what was promised. */
export type Row = {
  readonly name: string
  readonly cells: Readonly<Record<string, string>>
  readonly promises: readonly Promised[]
}

/** A table in Markdown, one line a row. */
export function tableOf(first: string, rows: readonly Row[]): string {
  const heads = [first, ...Object.keys(rows[0]?.cells ?? {}), 'promises']
  const lines = rows.map((row) => [row.name, ...Object.values(row.cells), verdictOf(row.promises)])
  return [heads, heads.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

/** What was broken, and what could not be told; empty where all holds. */
export function missesOf(rows: readonly Row[]): string {
  return rows
    .flatMap(({ name, promises }) =>
      promises
        .filter(({ holds }) => holds !== true)
        .map(
          ({ what, holds }) => `- ${name}: ${what}: ${holds === null ? 'cannot be told on this machine' : 'broken'}\n`,
        ),
    )
    .join('')
}

function verdictOf(promises: readonly Promised[]): string {
  if (promises.some(({ holds }) => holds === false)) return 'broken'
  const untold = promises.filter(({ holds }) => holds === null).length
  return untold > 0 ? `hold, ${untold} untold` : 'hold'
}
