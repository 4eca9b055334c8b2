import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'

const bad = namesIn('bad')
const odd = namesIn('odd')

t.ok(bad.length >= 40, 'there is a fixture for each mistake')
t.ok(odd.length >= 10, 'and for what is odd without being wrong')

for (const name of bad) {
  t.test(`tells what is wrong in ${name}.yaml, where, and what to write`, async (t) => {
    const result = parse('bad', name)
    if (result.ok) {
      t.fail('the policy was taken for a good one')
      return
    }
    t.equal(`${result.problems.map((problem) => formatProblem(problem)).join('\n')}\n`, read('bad', `${name}.txt`))
  })
}

for (const name of odd) {
  t.test(`takes ${name}.yaml, and tells what of it can hardly be meant`, async (t) => {
    const { ok, warnings } = parse('odd', name)
    t.equal(ok, true)
    t.equal(`${warnings.map((warning) => formatProblem(warning, 'warning')).join('\n')}\n`, read('odd', `${name}.txt`))
  })
}

function parse(folder: 'bad' | 'odd', name: string) {
  return parsePolicy({
    text: read(folder, `${name}.yaml`),
    file: `${name}.yaml`,
    env: {},
    readFile: (file) => read(folder, file),
    now: Date.UTC(2027, 0, 1),
  })
}

function namesIn(folder: string): string[] {
  return readdirSync(new URL(`fixtures/${folder}/`, import.meta.url))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
}

function read(folder: string, name: string): string {
  return readFileSync(new URL(`fixtures/${folder}/${name}`, import.meta.url), 'utf8')
}
