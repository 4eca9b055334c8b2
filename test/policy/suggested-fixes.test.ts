import { readdirSync } from 'node:fs'
import t from 'tap'
import { parsePolicy } from '../../src/policy/parse.ts'
import type { Problem } from '../../src/policy/problem.ts'
import { fixture } from './read-fixture.ts'

/** What a problem asks to write, where that is one word in the place of another: the message begins with what is there. */
const LITERAL = /^'([^'\n]+)' .*[;,] write (?:at most |at least )?'?([^\s,;']+)'?$/
const OTHER_KEY = /^is not a key that is known; write (\S+)$/

function problemsOf(text: string): readonly Problem[] {
  const readFile = (file: string) => fixture(`bad/${file}`)
  const result = parsePolicy({ text, file: 'policy.yaml', env: {}, readFile, now: Date.UTC(2027, 0, 1) })
  return result.ok ? [] : result.problems
}

/** The text with the fix in the place that the problem points at; null where the fix is none that can be put in as it stands. */
function fixed(text: string, { message, path, line, column }: Problem): string | null {
  const [, value, write] = LITERAL.exec(message) ?? []
  const key = OTHER_KEY.exec(message)?.[1]
  const [from, to] = key === undefined ? [value, write] : [String(path).split('.').at(-1), key]
  if (from === undefined || to === undefined || line === null || column === null) return null
  const lines = text.split('\n')
  const before = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0) + column - 1
  const at = text.indexOf(from, before)
  return at === -1 ? null : text.slice(0, at) + to + text.slice(at + from.length)
}

t.test('what a problem says to write is no problem', async (t) => {
  let tried = 0
  const names = readdirSync(new URL('fixtures/bad/', import.meta.url)).filter((name) => name.endsWith('.yaml'))
  for (const name of names) {
    const text = fixture(`bad/${name}`)
    for (const problem of problemsOf(text)) {
      const better = fixed(text, problem)
      if (better === null) continue
      tried++
      const left = problemsOf(better).filter(
        // The word may stand in the list already: then the other one is the fix.
        ({ line, path, message }) =>
          line === problem.line && path === problem.path && !/ twice; keep one/.test(message),
      )
      t.same(
        left.map(({ message }) => message),
        [],
        `${name}: ${problem.path}: ${problem.message}`,
      )
    }
  }
  t.ok(tried >= 30, `${tried} fixes were tried`)
})
