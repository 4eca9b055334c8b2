import { readFileSync } from 'node:fs'
import t from 'tap'
import { schema, schemaText } from '../../src/commands/schema.ts'
import { problemsOf } from './read-fixture.ts'

type Schema = {
  readonly [key: string]: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
}

const root: Schema = JSON.parse(schemaText())

t.test('config/schema.json is what `sluice schema` prints', async (t) => {
  const committed = readFileSync(new URL('../../config/schema.json', import.meta.url), 'utf8')
  t.equal(committed, schemaText(), 'write it anew: sluice schema > config/schema.json')
  const printed: string[] = []
  t.equal(await schema([], { env: {}, out: (text) => printed.push(text), err: t.fail }), 0)
  t.equal(printed.join(''), committed)
  t.equal(await schema(['x'], { env: {}, out: t.fail, err: () => {} }), 2)
})

t.test('it is closed, says its draft, and requires the version alone', async (t) => {
  t.match(root, {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    additionalProperties: false,
    required: ['version'],
  })
})

t.test(
  'editors have something to say about every key of the first two levels, and about those of a limit',
  async (t) => {
    const described = (schema: Schema | undefined, name: string) => {
      for (const [key, member] of Object.entries(schema?.properties ?? {}))
        t.type(member.description, 'string', `${name}${key}`)
    }
    described(root, '')
    for (const [key, member] of Object.entries(root.properties ?? {})) described(member, `${key}.`)
    described(root.properties?.limits?.items, 'limits[].')
  },
)

t.test('every default that it tells is one that the loader takes', async (t) => {
  let count = 0
  const visit = (schema: Schema, write: (value: unknown) => unknown) => {
    if (schema.default !== undefined) {
      count++
      const text = JSON.stringify({ version: 1, ...(write(schema.default) as object) })
      t.strictSame(
        problemsOf(text).filter((problem) => !problem.includes('redis')),
        [],
        text,
      )
    }
    for (const [key, member] of Object.entries(schema.properties ?? {}))
      visit(member, (value) => write({ [key]: value }))
  }
  visit(root, (value) => value)
  t.ok(count > 50)
})

t.test('a variable may stand wherever a number, a word or a form is wanted', async (t) => {
  const upstream = root.properties?.upstream?.properties
  t.match(upstream?.max_queue, { anyOf: [{ type: 'integer' }, { type: 'string', pattern: '\\$\\{' }] })
  t.match(new RegExp(String(upstream?.connect_timeout?.pattern)).test('20s'), true)
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the policy's
  t.match(new RegExp(String(upstream?.connect_timeout?.pattern)).test('${TIMEOUT:-2s}'), true)
  t.match(new RegExp(String(upstream?.connect_timeout?.pattern)).test('20'), false)
})
