import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { compileCredential } from '../../src/identity/credential.ts'
import type { ApiKeysPolicy } from '../../src/policy/types.ts'
import { policyOf } from '../fixtures/policy.ts'

const sha256 = (key: string) => createHash('sha256').update(key, 'latin1').digest('hex')

const API_KEYS: ApiKeysPolicy = {
  header: 'x-api-key',
  principals: new Map([
    [sha256('key of acme'), 'acme'],
    [sha256('second key of acme'), 'acme'],
    [sha256('k\u00e9y of caf\u00e9'), 'cafe'],
  ]),
  enrolment: 'controlled',
}

/** Reads with a keyring that shows what a pseudonym is made of; a principal as its name. */
function compile(apiKeys: ApiKeysPolicy | null) {
  const keyring = { pseudonym: (_: string, parts: readonly string[]) => JSON.stringify(parts) }
  const policy = { ...policyOf().identity, apiKeys }
  const readCredential = compileCredential(policy, { keyring, jwks: null, onProblem: t.fail })
  return (headers: IncomingHttpHeaders) => {
    const { principal, claims } = readCredential(headers, false, 0)
    if (principal !== null) t.match(principal, { source: 'api_key', enrolment: 'controlled', id: /^\["api_key",/ })
    return { principal: principal && JSON.parse(principal.id)[1], claims }
  }
}

const read = compile(API_KEYS)

t.test('a listed key proves its principal, and nothing is claimed beside it', async (t) => {
  t.same(read({ 'x-api-key': 'key of acme' }), { principal: 'acme', claims: [] })
  t.same(read({ 'x-api-key': 'key of acme', authorization: 'Bearer x' }), { principal: 'acme', claims: [] })
})

t.test('two keys of one name are one principal', async (t) => {
  t.same(read({ 'x-api-key': 'second key of acme' }), { principal: 'acme', claims: [] })
})

t.test('a key is known by the bytes that were sent', async (t) => {
  t.equal(read({ 'x-api-key': 'k\u00e9y of caf\u00e9' }).principal, 'cafe')
})

t.test('an unlisted key is only a claim, at its first sight and at its second', async (t) => {
  for (const key of ['unlisted', sha256('key of acme'), 'acme', 'KEY OF ACME', 'key of acme\u00a0', '__proto__']) {
    for (let sight = 0; sight < 2; sight++) {
      t.same(read({ 'x-api-key': key }), { principal: null, claims: ['', key] }, key)
    }
  }
  t.same(read({ 'x-api-key': 'unlisted', authorization: 'Bearer x' }), {
    principal: null,
    claims: ['Bearer x', 'unlisted'],
  })
})

t.test('a bearer token is never more than a claim', async (t) => {
  for (const authorization of ['Bearer key of acme', 'key of acme', 'Basic YWNtZTo=']) {
    t.same(read({ authorization }), { principal: null, claims: [authorization] })
  }
})

t.test('a key counts in its own field alone', async (t) => {
  t.same(read({ 'x-key': 'key of acme', cookie: 'x-api-key=key of acme' }), { principal: null, claims: [] })
  t.equal(compile({ ...API_KEYS, header: 'x-key' })({ 'x-key': 'key of acme' }).principal, 'acme')
})

t.test('a field that is there without a value claims nothing', async (t) => {
  const nothing = { principal: null, claims: [] }
  t.same(read({}), nothing)
  t.same(read({ authorization: '' }), nothing)
  t.same(read({ 'x-api-key': '' }), nothing)
  t.same(read({ authorization: '', 'x-api-key': '' }), nothing)
  t.same(read({ authorization: 'Bearer x', 'x-api-key': '' }), { principal: null, claims: ['Bearer x'] })
  t.same(read({ authorization: '', 'x-api-key': 'unlisted' }), read({ 'x-api-key': 'unlisted' }))
})

t.test('without API keys in the policy nobody is proved', async (t) => {
  const readNone = compile(null)
  t.same(readNone({ 'x-api-key': 'key of acme' }), { principal: null, claims: [] })
  t.same(readNone({ authorization: 'Bearer x' }), { principal: null, claims: ['Bearer x'] })
  t.same(readNone({ authorization: '' }), { principal: null, claims: [] })
})
