// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the policy's variables
import fc from 'fast-check'
import t from 'tap'
import { parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'
import { fixture, NOW } from './read-fixture.ts'

const SEED = 20_260_701
const EXAMPLES = [fixture('design.yaml'), fixture('good/everything.yaml')]
// biome-ignore format: a list of scraps
const FRAGMENTS = [
  '\n', '\t', '  ', '- ', ': ', '#', '{', '}', '[', ']', '"', "'", '&a ', '*a', '!!x ', '|\n', '>', '---\n', '...', '%', '@',
  '${A}', '${', '$${', '\u0000', '\ufeff', '\ud800', '__proto__: 1\n', 'constructor', '<<: *a', '? ', 'null', '1e309', '.nan',
  '-1', '0', 'true', '{}', '[]', 'limits: ', 'x'.repeat(5000),
]

/** The same promises for any text: it returns, in time, with places that exist and sentences that are whole. */
function holdsForAny(text: string): void {
  const start = performance.now()
  const result = parsePolicy({ text, file: 'p.yaml', env: { A: 'b: {c' }, readFile: () => 'x', now: NOW })
  if (performance.now() - start > 20_000) throw new Error('it took too long')
  const lines = text.split('\n').length
  for (const problem of [...(result.ok ? [] : result.problems), ...result.warnings]) {
    const { line, column, message } = problem
    if (line !== null && (line < 1 || line > lines + 1)) throw new Error(`line ${line} of ${lines}`)
    if (column !== null && column < 1) throw new Error(`column ${column}`)
    if (!/; (write|leave|keep|set|put|check) /.test(message)) throw new Error(`no fix in: ${message}`)
    if (/Invalid|expected (string|number|object|array)|Unrecognized|Too (big|small)/.test(message))
      throw new Error(message)
    if (formatProblem(problem).length > 3000) throw new Error('too long to read')
  }
  if (!result.ok && result.problems.length === 0) throw new Error('refused without a reason')
}

t.test('any text gives a policy or problems', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), holdsForAny), { seed: SEED, numRuns: 300 })
  t.pass()
})

t.test('scraps of YAML give a policy or problems', async (t) => {
  const scraps = fc.array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ maxLength: 8 })), { maxLength: 60 })
  fc.assert(
    fc.property(scraps, (parts) => holdsForAny(`version: 1\n${parts.join('')}`)),
    { seed: SEED, numRuns: 200 },
  )
  t.pass()
})

t.test('a good file with something cut out, put in or moved gives a policy or problems', async (t) => {
  const edit = fc.record({
    at: fc.nat(6000),
    cut: fc.nat(40),
    put: fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string()),
  })
  const edits = fc.tuple(fc.constantFrom(...EXAMPLES), fc.array(edit, { minLength: 1, maxLength: 6 }))
  const property = fc.property(edits, ([text, changes]) => {
    let changed = text
    for (const { at, cut, put } of changes) {
      const start = at % changed.length
      changed = changed.slice(0, start) + put + changed.slice(start + cut)
    }
    holdsForAny(changed)
  })
  fc.assert(property, { seed: SEED, numRuns: 200 })
  t.pass()
})

t.test('any value under any key of a good file gives a policy or problems', async (t) => {
  const lines = EXAMPLES.flatMap((text) => text.split('\n').map((_, index) => ({ text, index })))
  const property = fc.property(fc.constantFrom(...lines), fc.json({ maxDepth: 2 }), ({ text, index }, json) => {
    const changed = text.split('\n').map((line, at) => (at === index ? line.replace(/:.*$/, `: ${json}`) : line))
    holdsForAny(changed.join('\n'))
  })
  fc.assert(property, { seed: SEED, numRuns: 200 })
  t.pass()
})

t.test('files made to exhaust a parser are refused in time', async (t) => {
  const bomb = Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(i === 0 ? 0 : 9)}1]`).join(
    '\n',
  )
  for (const text of [
    '['.repeat(100_000),
    '{a: '.repeat(100_000),
    '- '.repeat(100_000),
    Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join('\n'),
    `limits: [${'{},'.repeat(20_000)}]`,
    bomb,
    `secret: "${'a'.repeat(1_000_000)}"`,
    'x'.repeat(1024 * 1024 + 1),
    `version: 1\nmode: ${'//'.repeat(400_000)}`,
  ]) {
    const start = performance.now()
    const result = parsePolicy({ text, file: 'p.yaml', env: {}, readFile: () => '', now: NOW })
    t.equal(result.ok, false)
    t.ok(performance.now() - start < 30_000, `${text.slice(0, 20)} in ${Math.round(performance.now() - start)} ms`)
  }
})
