import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createMetrics } from '../src/metrics/metrics.ts'
import { parsePolicy } from '../src/policy/parse.ts'
import { formatProblem } from '../src/policy/problem.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

t.test('every YAML block of the docs is a policy without a problem', async (t) => {
  let blocks = 0
  for (const page of pages) {
    for (const [, text] of readFileSync(join(ROOT, page), 'utf8').matchAll(/```yaml\n(.*?)```/gs)) {
      blocks++
      const result = parsePolicy({ text: text!, file: page, env: {}, readFile: () => '' })
      t.ok(
        result.ok,
        `${page}: ${result.ok ? 'fine' : result.problems.map((problem) => formatProblem(problem)).join('\n')}`,
      )
    }
  }
  t.ok(blocks >= 4)
})

t.test('every link of the docs to a file of the project leads somewhere', async (t) => {
  for (const page of pages) {
    const text = readFileSync(join(ROOT, page), 'utf8')
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      t.doesNotThrow(() => readdirOrFile(join(ROOT, page, '..', target!)), `${page}: ${target}`)
    }
  }
})

t.test('every metric has a row in docs/4, and no row is without its metric', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/4-metrics-and-logs.md'), 'utf8')
  const documented = new Set([...page.matchAll(/`(sluice_[a-z_]+)/g)].map(([, name]) => name!))
  const { registry } = createMetrics({ version: 'x', node: 'y' })
  const declared = new Set(
    registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .filter((name) => name.startsWith('sluice_')),
  )
  t.same([...documented].sort(), [...declared].sort())
})

t.test('every key of the policy is in docs/3', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/3-policy.md'), 'utf8')
  const code = [...page.matchAll(/^## .*$|```yaml\n.*?```|`[^`\n]+`/gms)].map(([text]) => text).join('\n')
  const keys = new Set(keysOf(JSON.parse(readFileSync(join(ROOT, 'config/schema.json'), 'utf8'))))
  t.ok(keys.size > 80)
  t.same(
    [...keys].filter((key) => !new RegExp(`\\b${key}\\b`).test(code)),
    [],
  )
})

t.test('every code of an error is in docs/7', async (t) => {
  const codes = [...readFileSync(join(ROOT, 'src/errors.ts'), 'utf8').matchAll(/^ {2}\| '(\w+)'/gm)].map(
    ([, code]) => code!,
  )
  t.ok(codes.length >= 6)
  const page = readFileSync(join(ROOT, 'docs/7-operating.md'), 'utf8')
  t.same(
    codes.filter((code) => !page.includes(`\`${code}\``)),
    [],
  )
})

t.test('every command has a row in docs/11', async (t) => {
  const [usage] = /const USAGE = `[^`]*`/.exec(readFileSync(join(ROOT, 'src/main.ts'), 'utf8'))!
  const commands = [...usage.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name]) => name!)
  t.same(commands, ['serve', 'check', 'explain', 'replay', 'schema', 'hash-key', 'version', 'help'])
  const page = readFileSync(join(ROOT, 'docs/11-commands.md'), 'utf8')
  for (const name of commands) t.match(page, new RegExp(`^\\| \`${name}\\b`, 'm'), name)
})

t.test('every test that docs/13 names is there, and every file of attacks is named', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/13-what-is-survived.md'), 'utf8')
  const named = new Set<string>()
  for (const [, file, titles] of page.matchAll(/`([a-z/-]+)` ((?:"[^"]+" ?)+)/g)) {
    named.add(`${file}.test.ts`)
    const text = readFileSync(join(ROOT, 'test', `${file}.test.ts`), 'utf8')
    for (const [, title] of titles!.matchAll(/"([^"]+)"/g)) t.ok(text.includes(title!), `${file}: ${title}`)
  }
  const attacks = readdirSync(join(ROOT, 'test/attacks')).filter((name) => name.endsWith('.test.ts'))
  for (const name of attacks) t.ok(named.has(`attacks/${name}`), name)
})

/** The names of all properties in a JSON Schema. */
function keysOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const { properties } = schema as { readonly properties?: object }
  return [...Object.keys(properties ?? {}), ...Object.values(schema).flatMap(keysOf)].filter((key) =>
    /^[a-z_0-9]+$/.test(key),
  )
}

function readdirOrFile(path: string): void {
  try {
    readdirSync(path)
  } catch {
    readFileSync(path)
  }
}
