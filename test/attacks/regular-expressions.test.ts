import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

// The checker's own engine: without it the package would start a native program.
process.env.RECHECK_BACKEND = 'pure'
const { check } = await import('recheck')

/** No regular expression of src can backtrack for longer than a small multiple of its text, whoever wrote that text. */

const SRC = join(dirname(fileURLToPath(import.meta.url)), '../../src')

type Expression = { readonly place: string; readonly source: string; readonly flags: string }

function expressionsIn(file: string): { readonly found: Expression[]; readonly built: string[] } {
  const tree = ts.createSourceFile(file, readFileSync(join(SRC, file), 'utf8'), ts.ScriptTarget.Latest, true)
  const found: Expression[] = []
  const built: string[] = []

  function visit(node: ts.Node): void {
    const place = `${file}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}`
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      found.push({ place, source: node.text.slice(1, end), flags: node.text.slice(end + 1) })
    }
    const isCall = ts.isNewExpression(node) || ts.isCallExpression(node)
    if (isCall && node.expression.getText(tree) === 'RegExp') {
      const [source, flags] = node.arguments ?? []
      const isFixed = source && ts.isStringLiteralLike(source) && (flags === undefined || ts.isStringLiteralLike(flags))
      if (isFixed) found.push({ place, source: source.text, flags: flags?.text ?? '' })
      else built.push(`${place} ${node.getText(tree)}`)
    }
    ts.forEachChild(node, visit)
  }

  visit(tree)
  return { found, built }
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => /\.[jt]s$/.test(file))
const perFile = files.map(expressionsIn)
const expressions = perFile.flatMap(({ found }) => found)

t.test('the checker tells an expression that backtracks from one that does not', async (t) => {
  t.equal((await check('<[^>]*>', 'g')).status, 'vulnerable')
  t.equal((await check('^<[^>]*>', '')).status, 'safe')
})

t.test('every expression of src is seen', async (t) => {
  t.ok(expressions.length > 100)
  t.ok(expressions.some(({ place }) => place.startsWith('demo/')))
  t.ok(expressions.some(({ place }) => place.startsWith('replay/')))
  // One that is built from a text known only then could not be checked here.
  t.same(
    perFile.flatMap(({ built }) => built),
    [],
  )
})

t.test('no expression of src backtracks for longer than its text is long', { timeout: 120_000 }, async (t) => {
  for (const { place, source, flags } of expressions) {
    const result = await check(source, flags, { timeout: 20_000 })
    if (result.status === 'safe') continue
    const attack = result.status === 'vulnerable' ? result.attack.pattern : result.error.kind
    t.fail(`${place}: /${source}/${flags} is ${result.status}: ${attack}`)
  }
})
