import { execFileSync, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { check } from '../../src/commands/check.ts'
import { SECRET } from '../policy/read-fixture.ts'

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

t.test('for a program everything is one list of JSON, of all files', async (t) => {
  const folder = t.testdir({ 'bad.yaml': 'version: 1\nmode: on\n', 'odd.yaml': 'version: 1\nlimits: []\n' })
  const env = { SLUICE_SECRET: SECRET }
  const files = ['bad', 'odd', 'none'].map((name) => `${folder}/${name}.yaml`)
  const { code, out, err } = await run(['--json', ...files], { ...env, SLUICE_LISTEN: '8080' })
  t.equal(code, 1)
  t.equal(err, '')
  const listen = { file: null, line: null, column: null, path: 'SLUICE_LISTEN', severity: 'error' }
  t.match(JSON.parse(out), [
    { file: files[0], line: 2, column: 7, path: 'mode', message: /^'on' is not a choice here/, severity: 'error' },
    listen,
    listen,
    { file: files[1], line: 2, column: 9, path: 'limits', message: /^is an empty list/, severity: 'warning' },
    { file: files[2], line: null, column: null, path: '', message: /^cannot be read \(ENOENT/, severity: 'error' },
  ])
  const good = await run(['--json', files[1]!], env)
  t.equal(good.code, 0, 'a warning is no failure')
  t.match(JSON.parse(good.out), [{ severity: 'warning' }])
  t.strictSame(JSON.parse((await run(['--json', `${config}sluice.yaml`], env)).out), [])
})

t.test('--print shows the policies as they would be in force, and of a bad one its problems', async (t) => {
  const folder = t.testdir({ 'bad.yaml': 'version: 2\n', 'good.yaml': 'version: 1\nmode: shadow\n' })
  const { code, out, err } = await run(['--print', `${folder}/bad.yaml`, `${folder}/good.yaml`])
  t.equal(code, 1)
  t.match(err, /bad\.yaml:1:10: version: /)
  t.match(out, /^---\n# .*good\.yaml: ok \(1 limit, hash [0-9a-f]{12}\)\nversion: 1 +# .*good\.yaml:1\n/)
  t.match(out, /\nmode: shadow +# .*good\.yaml:2\n/)
})

t.test(
  '--print without a file shows what serve would take: the file that the environment names, or the default',
  async (t) => {
    const folder = t.testdir({ 'policy.yaml': 'version: 1\nmode: shadow\n' })
    const named = await run(['--print'], { SLUICE_CONFIG: `${folder}/policy.yaml` })
    t.match(named.out, /\nmode: shadow +# .*policy\.yaml:2\n/)
    const { code, out } = await run(['--print'], { SLUICE_UPSTREAM: 'http://127.0.0.1:9' })
    t.equal(code, 0)
    t.match(out, /^---\n# the default policy: ok/)
    t.match(out, /\n {2}url: http:\/\/127\.0\.0\.1:9 +# SLUICE_UPSTREAM\n/)
  },
)

t.test('a policy on a pipe is read once, and printed all the same', async (t) => {
  const pipe = `${t.testdir()}/policy`
  execFileSync('mkfifo', [pipe])
  const writer = spawn('sh', ['-c', 'printf "version: 1\\nmode: shadow\\n" > "$0"', pipe])
  const { code, out } = await run(['--print', pipe])
  t.equal(code, 0)
  t.match(out, /mode: shadow/)
  writer.kill()
})

t.test(
  'without a file, with an unknown option or two of which one excludes the other, it says how it is used',
  async (t) => {
    for (const args of [[], ['--all', 'x.yaml'], ['--json'], ['--json', '--print', 'x.yaml']]) {
      const { code, err } = await run(args)
      t.equal(code, 2)
      t.match(
        err,
        /^(?:sluice: --all is not an option of sluice check; write .*\n)?usage: sluice check \[--json\] <file>\.\.\./,
      )
    }
  },
)

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const out: string[] = []
  const err: string[] = []
  const code = await check(args, { env, out: (text) => out.push(text), err: (text) => err.push(text) })
  return { code, out: out.join(''), err: err.join('') }
}
