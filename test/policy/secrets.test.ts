// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the policy's variables
import t from 'tap'
import { formatProblem } from '../../src/policy/problem.ts'
import { parse, policyOf, problemsOf, SECRET } from './read-fixture.ts'

const CANARY = 'c4n4ry-hunter2'

t.test('secrets are read from files, less the line break at their end', async (t) => {
  const text =
    'version: 1\nadmin_token_file: token\nidentity: {secret_file: /run/secret}\nstore: {kind: redis, url: "redis://r", password_file: p/w}\n'
  const policy = policyOf(text, {}, { token: 'abc\r\n', '/run/secret': `${SECRET}\n\n`, 'p/w': ' pass word ' })
  t.match(policy, { adminToken: 'abc', identity: { secrets: [`${SECRET}\n`] }, store: { password: ' pass word ' } })
})

t.test('a secret file that gives no secret is a problem', async (t) => {
  const problems = (file: string) =>
    problemsOf('version: 1\nidentity: {secret_file: s}\nadmin_token_file: s', {}, { s: file })
  t.match(
    problems(''),
    [/^admin_token_file: names an empty file/, /^identity\.secret_file: names an empty file/].reverse(),
  )
  t.match(problems('short'), [/^identity\.secret_file: is shorter than 32 bytes/])
  t.match(problems(`${SECRET} `), [/^admin_token_file: names a file with spaces/])
  t.match(problems(`${SECRET}\ufffd`), [/secret_file: 's' is not UTF-8 text/, /token_file: 's' is not UTF-8 text/])
})

t.test('empty members of a list of secrets are left out, so that one may come and go', async (t) => {
  const text = `version: 1\nidentity: {secret: ["\${NEW:-}", "${SECRET}"]}`
  t.strictSame(policyOf(text).identity.secrets, [SECRET])
})

t.test('a body of up to 64 KiB replaces the problem document, with the type of its ending', async (t) => {
  const body = (name: string, text: string) =>
    policyOf(`version: 1\nrefuse: {body_file: ${name}}`, {}, { [name]: text }).refuse.body
  t.strictSame(body('a.json', '{}'), { text: '{}', type: 'application/json' })
  t.strictSame(body('a.TXT', 'no'), { text: 'no', type: 'text/plain; charset=utf-8' })
  t.strictSame(body('a.xml', '<no/>'), { text: '<no/>', type: 'application/xml' })
  t.throws(() => body('a.html', 'x'.repeat(65_537)), /'a\.html' is larger than 64 KiB/)
})

t.test('keys are known by their hashes; a name is for whoever holds several', async (t) => {
  const [a, b, c] = ['a', 'b', 'c'].map((digit) => digit.repeat(64))
  const keys = `# two of acme's\nsha256:${a} acme\n\n  SHA256:${b?.toUpperCase()}\tacme\nsha256:${c}\n`
  const text = 'version: 1\nidentity: {api_keys: {hashes_file: keys, enrolment: controlled}}'
  const principals = policyOf(text, {}, { keys }).identity.apiKeys?.principals
  t.strictSame(
    [...(principals ?? [])],
    [
      [a, 'acme'],
      [b, 'acme'],
      [c, 'c'.repeat(12)],
    ],
  )
})

t.test('no problem and no warning ever shows a secret', async (t) => {
  const long = `${CANARY}-${'x'.repeat(32)}`
  const policies: Readonly<Record<string, string>> = {
    'a short secret': `identity:\n  secret: ${CANARY}`,
    'a short secret in a list over lines': `identity:\n  secret:\n  - ${long}\n  - ${CANARY}`,
    'a short secret in a block': `identity:\n  secret: |\n    ${CANARY}\n`,
    'a secret of the wrong type': `identity:\n  secret: {value: ${CANARY}}`,
    'a misspelled key': `identity:\n  secert: ${CANARY}`,
    'a key in the wrong place': `secret: ${CANARY}`,
    'a key of another product': `api_token: ${CANARY}`,
    'a mistake beside it': `identity: {secret: ${long}, trusted_proxies: [x], jwt: 1}`,
    'a mistake before it': `identity: {jwt: 1, secret: ${long}}`,
    'a duplicate': `identity:\n  secret: ${long}\n  secret: ${CANARY}`,
    'an admin token with a space': `admin_token: "${CANARY} x"`,
    'an admin token that is no text': `admin_token: [${CANARY}]`,
    'an alias that is a secret elsewhere': `identity:\n  secret: &s ${long}\nlisten: *s`,
    'a secret variable in the wrong place': 'listen: ${SLUICE_SECRET}',
    'a password variable in the wrong place': 'listen: ${DB_PASSWORD}',
    'a password with the store in memory': `store: {password: ${CANARY}}`,
    'a bad address with a password': `store: {kind: redis, url: "redis://u:${CANARY}@h:0"}`,
    'an address with a password and a slash': `store:\n  kind: redis\n  url: redis://u:${CANARY}/@h`,
    'an address over two lines': `store:\n  kind: redis\n  url:\n    rediss://u:${CANARY}@h\n`,
    'an upstream with a password': `upstream: {url: "https://u:${CANARY}@h"}`,
    'an origin with a password': `refuse: {cors: {origins: ["https://u:${CANARY}@h"]}}`,
    'a tab before it': `identity:\n\tsecret: ${CANARY}`,
    'a quote that is not closed': `identity:\n  secret: "${CANARY}\n  network: {}\nlisten: 1`,
    'a quote that goes on': `identity:\n  secret: "x\n  ${CANARY}: @\n\n`,
    'a bracket that is not closed': `identity:\n  secret: [${long},\n  ${CANARY}\nlisten: 1`,
    'a map that is not closed': `identity: {\n  secret: x,\n  password: ${CANARY}\n  : : :\n`,
    'bad indentation': `identity:\n  secret: ${CANARY}\n   jwt: []\n`,
    'a colon too many': `identity:\n  secret: a: ${CANARY}\n`,
    'an escape that is none': `identity:\n  secret: "\\q${CANARY}"\n`,
    'a tag': `identity:\n  secret: !vault ${CANARY}\n`,
    'a variable that is none': `identity:\n  secret: "\${x-${CANARY}}"\n`,
    'a default that is too short': `identity:\n  secret: "\${NONE:-${CANARY}}"\n`,
  }
  for (const [name, text] of Object.entries(policies)) {
    const env = { SLUICE_SECRET: `${CANARY}-short`, DB_PASSWORD: CANARY }
    for (const variables of [env, { DB_PASSWORD: CANARY }]) {
      const result = parse(`version: 1\n${text}`, variables)
      const shown = [...(result.ok ? [] : result.problems), ...result.warnings]
      const all = `${shown.map((problem) => formatProblem(problem)).join('\n')}\n${JSON.stringify(shown)}`
      t.notMatch(all, CANARY, name)
    }
    t.not(problemsOf(`version: 1\n${text}`, { DB_PASSWORD: CANARY }).length, 0, `${name} is a problem`)
  }
})
