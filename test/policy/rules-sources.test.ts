import t from 'tap'
import { parsePolicy } from '../../src/policy/parse.ts'
import { problemsOf } from './read-fixture.ts'

/** Each is a good policy; what is wrong in others stands in fixtures/bad/sources-*. */
const GOOD: Readonly<Record<string, string>> = {
  'per device without a match encloses everything': `
  - {name: device, per: device, rate: 10/s}
  - {name: a, per: ["header:x-tenant", "claim:plan"], on_missing: deny, rate: 100/s, match: {path: /search/**}}`,
  'per network of the same match encloses it, whatever their order': `
  - {name: a, per: ["cookie:sid"], on_missing: share, rate: 1/s, match: {path: [/a, /b], methods: POST}}
  - {name: b, per: network, rate: 1/s, match: {methods: POST, path: [/a, /b]}}`,
  'a list that is the network alone encloses as the word does': `
  - {name: a, per: ["path:1"], rate: 1/s, match: {path: /t/**}}
  - {name: b, per: [network], rate: 1/s}`,
  'a device or a network in the list holds it': `
  - {name: a, per: ["query:key", device], on_missing: skip, rate: 1/s, newcomers: {rate: 2/s}, members: {base: 3/s, per_device: 1/s}}
  - {name: b, per: [network, "header:X-JA4"], on_missing: share, rate: 1/s}`,
  'of methods and of listed hosts there are only so many': `
  - {name: a, per: [method, host], rate: 1/s, match: {host: [a.example, b.example]}}
  - {name: b, per: [method], rate: 1/s}`,
}

for (const [what, limits] of Object.entries(GOOD)) {
  t.test(what, async (t) => {
    t.strictSame(problemsOf(`version: 1\nlimits:${limits}\n`), [])
  })
}

t.test('a claim that an account with a price proves holds a limit', async (t) => {
  const policy = (enrolment: string) => `version: 1
identity:
  jwt:
    - {issuer: "https://a.example", audience: api, jwks_url: "https://a.example/keys", algorithms: [RS256], principal: [sub], enrolment: controlled}
    - {issuer: "https://b.example", audience: api, jwks_url: "https://b.example/keys", algorithms: [RS256], principal: [sub], enrolment: ${enrolment}}
limits: [{name: a, per: ["claim:plan"], on_missing: deny, rate: 1/s}]`
  t.strictSame(problemsOf(policy('controlled')), [])
  t.equal(problemsOf(policy('open')).length, 1, 'and one that anybody can have does not')
})

t.test('where a match cannot be read nothing is said of what encloses what', async (t) => {
  const text = `version: 1
limits:
  - {name: a, per: ["header:x"], on_missing: skip, rate: 1/s}
  - {name: b, per: device, rate: 1/s, match: {path: nowhere}}`
  t.equal(problemsOf(text).length, 1)
})

t.test('a list of one that has a word is that word', async (t) => {
  const read = (name: string) => {
    const text = `version: 1\nlimits: [{name: a, per: [${name}], rate: 1/s}]`
    const result = parsePolicy({ text, file: 'a.yaml', env: {}, readFile: () => '', now: 0 })
    return result.ok ? result.policy.limits[0]!.per : result.problems
  }
  t.equal(read('device'), 'device')
  t.equal(read('network'), 'network')
  t.strictSame(read('method'), [{ kind: 'method' }])
})
