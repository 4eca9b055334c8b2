import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { check } from '../../src/commands/check.ts'
import { SECRET } from './read-fixture.ts'

const config = fileURLToPath(new URL('../../config/', import.meta.url))

t.test('the configuration that comes with Sluice is good, and gives no cause to warn', async (t) => {
  const files = ['', 'examples/'].flatMap((folder) =>
    readdirSync(config + folder)
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => config + folder + name),
  )
  t.ok(files.length >= 5)
  const { code, out, err } = await run(files, { SLUICE_SECRET: SECRET, REDIS_URL: 'redis://redis:6379' })
  t.equal(err, '')
  t.equal(code, 0)
  t.equal(out.split('\n').length, files.length + 1)
})

t.test('a good file is told with its limits and its hash', async (t) => {
  const { code, out } = await run([`${config}sluice.yaml`], { SLUICE_SECRET: SECRET })
  t.match(out, /sluice\.yaml: ok \(1 limit, hash [0-9a-f]{12}\)\n$/)
  t.equal(code, 0)
})

t.test('all problems of all files are told, whichever is bad', async (t) => {
  const folder = t.testdir({
    'bad.yaml': 'version: 2\nmode: on\n',
    'good.yaml': 'version: 1\nlimits: []\nidentity: {secret_file: secret}',
    secret: SECRET,
  })
  const { code, out, err } = await run([`${folder}/bad.yaml`, `${folder}/none.yaml`, `${folder}/good.yaml`, folder])
  t.equal(code, 1)
  t.match(out, /good\.yaml: ok \(0 limits, hash/)
  t.match(err, /bad\.yaml:1:10: version: .*\nversion: 2\n {9}\^\n/)
  t.match(err, /bad\.yaml:2:7: mode: /)
  t.match(err, /none\.yaml: cannot be read \(ENOENT/)
  t.match(err, /good\.yaml:2:9: warning: limits: is an empty list/)
  t.match(err, /: cannot be read \(E/)
})

t.test('a file of more than 1 MiB is not read', async (t) => {
  const folder = t.testdir({ 'large.yaml': `version: 1 #${'x'.repeat(1024 * 1024)}` })
  const { code, err } = await run([`${folder}/large.yaml`])
  t.equal(code, 1)
  t.match(err, /large\.yaml: cannot be read \(it is larger than 1048576 bytes\)/)
})

t.test('without a file, or with an option, it says how it is used', async (t) => {
  for (const args of [[], ['--all', 'x.yaml']]) {
    const { code, err } = await run(args)
    t.equal(code, 2)
    t.match(err, /^usage: sluice check <file>\.\.\./)
  }
})

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const out: string[] = []
  const err: string[] = []
  const code = await check(args, { env, out: (text) => out.push(text), err: (text) => err.push(text) })
  return { code, out: out.join(''), err: err.join('') }
}
