import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { misspeltVariables } from '../../src/policy/environment.ts'
import { parse } from '../policy/read-fixture.ts'

/** The command line of the built program. */

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

function sluice(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH!, ...env },
    input: '',
  })
  return { status, stdout, stderr }
}

const COMMANDS = ['serve', 'check', 'explain', 'replay', 'schema', 'hash-key', 'version']

t.test('help is printed to standard output, for each command, with exit code 0', async (t) => {
  for (const args of [['--help'], ['-h'], ['help'], ['-c', 'x', '--help']]) {
    const { status, stdout, stderr } = sluice(args)
    t.match({ status, stderr }, { status: 0, stderr: '' }, args.join(' '))
    for (const command of COMMANDS) t.match(stdout, command)
  }
  for (const command of COMMANDS) {
    for (const args of [
      [command, '--help'],
      [command, '-h'],
      ['help', command],
    ]) {
      const { status, stdout, stderr } = sluice(args)
      t.match({ status, stdout, stderr }, { status: 0, stdout: /^usage: .*sluice/, stderr: '' }, args.join(' '))
      t.match(stdout, command)
    }
  }
})

t.test('the version is printed by each of its spellings', async (t) => {
  for (const args of [['version'], ['--version'], ['-v']]) {
    t.match(sluice(args), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' })
  }
})

t.test('what is not known is named, with the nearest that is, and exit code 2', async (t) => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['chek'], "sluice: 'chek' is not a command; write check\n"],
    [['help', 'exlpain'], "sluice: 'exlpain' is not a command; write explain\n"],
    [
      ['bananas'],
      "sluice: 'bananas' is not a command; write serve, check, explain, replay, schema, hash-key or version\n",
    ],
    [['check', '--jsn', 'a.yaml'], 'sluice: --jsn is not an option of sluice check; write --json\nusage: '],
    [['check', '--prnt=yes'], 'sluice: --prnt is not an option of sluice check; write --print\nusage: '],
    [
      ['serve', '--confg', 'a'],
      'sluice: --confg is not an option of sluice serve; write --config; usage: sluice serve [-c file]\n',
    ],
    [
      ['--confg', 'a'],
      'sluice: --confg is not an option of sluice serve; write --config; usage: sluice serve [-c file]\n',
    ],
    [['replay', '--polcy', 'a', 'log'], 'sluice: --polcy is not an option of sluice replay; write --policy; write: '],
    [
      ['explain', '--form', '192.0.2.1', '/'],
      'sluice: --form is not an option of sluice explain; write --from\nusage: ',
    ],
    [['hash-key', '--nmae'], 'sluice: --nmae is not an option of sluice hash-key; write --help\nusage: '],
  ]
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = sluice(args)
    t.match({ status, stdout }, { status: 2, stdout: '' }, args.join(' '))
    t.equal(stderr.slice(0, message.length), message)
  }
})

t.test('a command without what it needs says what that is, with exit code 2', async (t) => {
  for (const command of ['check', 'explain', 'replay']) {
    t.match(sluice([command]), { status: 2, stderr: new RegExp(`sluice ${command} `) })
  }
})

t.test('a variable whose name is almost known is a warning with the one that was meant', async (t) => {
  const { warnings } = parse('version: 1', { SLUICE_UPSTREM: 'http://a', SLUICE_SECRET: 'x'.repeat(32) })
  t.match(warnings, [
    { path: 'SLUICE_UPSTREM', message: 'is set, but is no variable that is read; write SLUICE_UPSTREAM' },
  ])
  const found = (env: Record<string, string>, used: readonly string[] = []) =>
    misspeltVariables(env, new Set(used)).map(({ meant }) => meant)
  t.same(found({ SLUICE_TRUSTED_PROXY: 'a', SLUICE_LOGLEVEL: 'a', sluice_secret: 'a' }), [
    'SLUICE_TRUSTED_PROXIES',
    'SLUICE_LOG_LEVEL',
    'SLUICE_SECRET',
  ])
  t.same(found({ SLUICE_UPSTREAM: 'a', SLUICE_CONFIG: 'a', SLUICE_UPSTREM: '' }), [])
  t.same(found({ SLUICE_UPSTREM: 'a' }, ['SLUICE_UPSTREM']), [], 'the policy asks for it')
  t.same(found({ SLUICE_SERVICE_HOST: '10.0.0.1', SLUICE_PORT: 'tcp://10.0.0.1:80' }), [], 'as Kubernetes sets them')
  const { status, stderr } = sluice(['check', 'config/sluice.yaml'], { SLUICE_UPSTREM: 'a' })
  t.equal(status, 0)
  t.match(stderr, /SLUICE_UPSTREM: is set, but is no variable that is read; write SLUICE_UPSTREAM/)
})
