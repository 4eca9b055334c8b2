import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'

const folder = new URL('fixtures/bad/', import.meta.url)
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -'.yaml'.length))

t.ok(names.length >= 40, 'there is a fixture for each mistake')

for (const name of names) {
  t.test(`tells what is wrong in ${name}.yaml, where, and what to write`, async (t) => {
    const result = parsePolicy({
      text: read(`${name}.yaml`),
      file: `${name}.yaml`,
      env: {},
      readFile: read,
      now: Date.UTC(2027, 0, 1),
    })
    if (result.ok) {
      t.fail('the policy was taken for a good one')
      return
    }
    t.equal(`${result.problems.map((problem) => formatProblem(problem)).join('\n')}\n`, read(`${name}.txt`))
  })
}

function read(name: string): string {
  return readFileSync(new URL(name, folder), 'utf8')
}
