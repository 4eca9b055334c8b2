import t from 'tap'
import { EVERYTHING, limitOf } from '../fixtures/policy.ts'
import { ask, get, openClient, post } from '../fixtures/raw-client.ts'
import { denyEntry, exemptEntry, ONCE, startThrough } from '../fixtures/through.ts'

const METHOD_FIELDS = ['X-HTTP-Method-Override', 'X-Method-Override', 'X-HTTP-Method']
const TARGET_FIELDS = ['X-Original-URL', 'X-Rewrite-URL']
const MATCH = { server: { methodOverride: 'match' } } as const

function method(...methods: readonly string[]) {
  return { ...EVERYTHING, methods }
}

t.test('headers that name another method or target go no further, from whomever, in whatever spelling', async (t) => {
  for (const trustedProxies of [[], ['127.0.0.0/8']]) {
    const { url, upstream, metric } = await startThrough(t, { identity: { trustedProxies } })
    const names = [...METHOD_FIELDS, ...TARGET_FIELDS]
    const fields = names.flatMap((name) => [`${name}: DELETE`, `${name.replaceAll('-', '_')}: /admin`])
    t.equal((await ask(t, url, post('/', 'a', ...fields, 'Connection: X-HTTP-Method-Override'))).status, 200)
    const chunked = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-HTTP-Method\r\n\r\n0\r\nX-HTTP-Method: DELETE\r\nX-Original-URL: /admin\r\n\r\n`
    t.equal((await ask(t, url, chunked)).status, 200)
    t.equal(upstream.seen.length, 2)
    const named = /override|x.http.method|original|rewrite/i
    for (const { head, trailers } of upstream.seen) t.notMatch(head + trailers.join(), named)
    t.equal(await metric('sluice_method_override_headers_total'), names.length)
  }
})

t.test(
  'with match a request counts as each method that it names, and only an exemption for all of them holds',
  async (t) => {
    const spellings = [
      'X-HTTP-Method-Override: DELETE',
      'X-Method-Override: delete',
      'X-HTTP-Method:  Delete ',
      'X-HTTP-Method-Override: PUT, DELETE',
      'X-HTTP-Method: PUT\r\nx-http-method: DELETE',
      'X-HTTP-Method-Override: DELETE\r\nConnection: X-HTTP-Method-Override',
    ]

    t.test('denied by either', async (t) => {
      const { url, upstream } = await startThrough(t, { ...MATCH, deny: [denyEntry({ match: method('DELETE') })] })
      for (const spelling of spellings) t.equal((await ask(t, url, post('/', 'a', spelling))).status, 403, spelling)
      t.equal((await ask(t, url, post('/', 'a', 'X-HTTP-Method-Override: PUT'))).status, 200)
      t.equal((await ask(t, url, post('/', 'a'))).status, 200)
      t.equal(upstream.seen[0]!.one('x-http-method-override'), 'PUT', 'the header goes on with the request')
    })

    t.test('limited by either', async (t) => {
      const { url } = await startThrough(t, { ...MATCH, limits: [{ ...ONCE, match: method('DELETE') }] })
      t.equal((await ask(t, url, post('/', 'a', spellings[0]!))).status, 200)
      for (const spelling of spellings) t.equal((await ask(t, url, post('/', 'a', spelling))).status, 429, spelling)
      const posting = await startThrough(t, { ...MATCH, limits: [{ ...ONCE, match: method('POST') }] })
      t.equal((await ask(t, posting.url, post('/', 'a', spellings[0]!))).status, 200)
      t.equal((await ask(t, posting.url, post('/', 'a', spellings[0]!))).status, 429, 'its own method still counts')
    })

    t.test('exempt by both only, preflights included', async (t) => {
      const exempt = [exemptEntry({ match: method('POST') })]
      const { url } = await startThrough(t, { ...MATCH, limits: [ONCE], exempt })
      t.equal((await ask(t, url, get('/'))).status, 200)
      t.equal((await ask(t, url, post('/', 'a'))).status, 200)
      t.equal((await ask(t, url, post('/', 'a', 'X-HTTP-Method-Override: post'))).status, 200)
      for (const spelling of spellings) t.equal((await ask(t, url, post('/', 'a', spelling))).status, 429, spelling)
      const preflight = ['Origin: https://a.example', 'Access-Control-Request-Method: PUT']
      const options = (...fields: string[]) => get('/', ...preflight, ...fields).replace(/^GET/, 'OPTIONS')
      t.equal((await ask(t, url, options())).status, 200)
      t.equal((await ask(t, url, options('X-HTTP-Method-Override: DELETE'))).status, 429)
    })

    t.test('keyed by the method that is named, where there is one of that name', async (t) => {
      const limits = [limitOf({ ...ONCE, per: [{ kind: 'method' }, { kind: 'network' }], newcomers: null })]
      const { url } = await startThrough(t, { ...MATCH, limits })
      const client = await openClient(t, url)
      const statusOf = async (request: string) => {
        client.write(request)
        return (await client.answer()).status
      }
      t.equal(await statusOf(post('/', 'a')), 200)
      t.equal(await statusOf(post('/', 'a', spellings[0]!)), 200)
      t.equal(await statusOf(get('/').replace('GET', 'DELETE')), 429, 'the bucket of DELETE')
      for (const made of ['X', 'POST1', 'GETX']) {
        t.equal(await statusOf(post('/', 'a', `X-HTTP-Method: ${made}`)), 429, 'no key of its own making')
      }
      t.equal(await statusOf(post('/', 'a', 'X-HTTP-Method: PUT', 'X-Method-Override: PATCH')), 400)
    })

    t.test('another target goes no further all the same', async (t) => {
      const { url, upstream } = await startThrough(t, MATCH)
      t.equal((await ask(t, url, get('/', ...TARGET_FIELDS.map((name) => `${name}: /admin`)))).status, 200)
      for (const name of TARGET_FIELDS) t.same(upstream.seen[0]!.all(name.toLowerCase()), [])
    })
  },
)

t.test('with pass they are headers like any other', async (t) => {
  const deny = [denyEntry({ match: method('DELETE') })]
  const { url, upstream, metric } = await startThrough(t, { server: { methodOverride: 'pass' }, deny })
  const names = [...METHOD_FIELDS, ...TARGET_FIELDS]
  t.equal((await ask(t, url, post('/', 'a', ...names.map((name) => `${name}: DELETE`)))).status, 200)
  for (const name of names) t.equal(upstream.seen[0]!.one(name.toLowerCase()), 'DELETE')
  t.equal(await metric('sluice_method_override_headers_total'), 0)
})
