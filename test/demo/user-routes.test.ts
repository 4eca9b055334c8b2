import t from 'tap'
import { answer, isProblem, startDemo } from './demo-under-test.ts'

t.test('a new user is created, and is where Location says', async (t) => {
  const demo = await startDemo(t)
  const created = await demo.post('/users', { email: ' Ann@Example.com ', name: 'Ann' })
  t.equal(created.status, 201)
  t.match(created.json, { email: 'ann@example.com', name: 'Ann', created_at: '2026-01-01T00:00:00.000Z' })
  t.equal(created.headers.get('location'), `/users/${created.json.id}`)
  const found = await demo.get(created.headers.get('location')!)
  t.same(found.json, created.json)
  const list = await demo.get('/users')
  t.match(list.json, { total: 1, users: [created.json] })
})

t.test('a taken email is a conflict, in any spelling', async (t) => {
  const demo = await startDemo(t)
  await demo.post('/users', { email: 'ann@bücher.example', name: 'Ann' })
  for (const email of [
    'ann@bücher.example',
    'ANN@BÜCHER.EXAMPLE',
    ' ann@xn--bcher-kva.example',
    'ａｎｎ@bücher.example',
  ]) {
    isProblem(t, await demo.post('/users', { email }), 409, '/problems/email-taken')
  }
  t.equal((await demo.get('/users')).json.total, 1)
})

t.test('the conflict tells nothing about the user that exists', async (t) => {
  const demo = await startDemo(t)
  const { json } = await demo.post('/users', { email: 'ann@example.com', name: 'Ann Secret' })
  const conflict = await demo.post('/users', { email: 'Ann@example.com', name: 'Eve' })
  for (const secret of [json.id, json.name, json.email, json.created_at]) {
    t.notOk(`${conflict.text}${JSON.stringify([...conflict.headers])}`.includes(secret), secret)
  }
  t.equal(conflict.headers.get('location'), null)
  t.equal(conflict.headers.get('cache-control'), 'no-store')
})

t.test('the problem type is a page that explains it', async (t) => {
  const demo = await startDemo(t)
  await demo.post('/users', { email: 'ann@example.com' })
  const { json } = await demo.post('/users', { email: 'ann@example.com' })
  const page = await demo.get(json.type)
  t.equal(page.status, 200)
  t.match(page.headers.get('content-type'), 'text/plain')
  t.match(page.text, /^The email is taken\n/)
})

t.test('by setting a conflict is 422, of the same type', async (t) => {
  const demo = await startDemo(t, { conflictStatus: 422 })
  t.equal((await demo.post('/users', { email: 'ann@example.com' })).status, 201)
  isProblem(t, await demo.post('/users', { email: 'ann@example.com' }), 422, '/problems/email-taken')
})

t.test('of fifty that race for one email exactly one gets it', async (t) => {
  const demo = await startDemo(t)
  const racing = Array.from({ length: 50 }, (_, n) =>
    demo.post('/users', { email: n % 2 ? 'a@b.example' : 'A@B.example' }),
  )
  const statuses = (await Promise.all(racing)).map(({ status }) => status)
  t.equal(statuses.filter((status) => status === 201).length, 1)
  t.equal(statuses.filter((status) => status === 409).length, 49)
})

t.test('what is not JSON is 400', async (t) => {
  const demo = await startDemo(t)
  for (const text of ['{', '', 'undefined', '{"email":"a@b.example",}', '{"a":1}{"b":2}']) {
    isProblem(t, await demo.post('/users', text), 400)
  }
  const headers = { 'content-type': 'application/json' }
  const latin = fetch(`${demo.url}/users`, {
    method: 'POST',
    headers,
    body: Buffer.from('{"email":"\xe9@b.example"}', 'latin1'),
  })
  isProblem(t, await answer(latin), 400)
})

t.test('JSON that is no object is 422', async (t) => {
  const demo = await startDemo(t)
  for (const text of ['null', '[]', '"ann@example.com"', '1', '['.repeat(30_000) + ']'.repeat(30_000)]) {
    const found = await demo.post('/users', text)
    isProblem(t, found, 422, '/problems/invalid-body')
    t.match(found.json.errors, [{ pointer: '#' }])
  }
})

t.test('values that break a rule are all told, by their pointers', async (t) => {
  const demo = await startDemo(t)
  const bad: [unknown, string[]][] = [
    [{}, ['#/email']],
    [{ email: null }, ['#/email']],
    [{ email: 1 }, ['#/email']],
    [{ email: ['a@b.example'] }, ['#/email']],
    [{ email: 'ann' }, ['#/email']],
    [{ email: 'ann@example.com', name: 1 }, ['#/name']],
    [{ email: 'ann@example.com', name: 'x'.repeat(201) }, ['#/name']],
    [{ email: 'ann', name: {} }, ['#/email', '#/name']],
  ]
  for (const [body, pointers] of bad) {
    const found = await demo.post('/users', body)
    isProblem(t, found, 422, '/problems/invalid-body')
    t.same(
      found.json.errors.map(({ pointer }: { pointer: string }) => pointer),
      pointers,
    )
    for (const { detail } of found.json.errors) t.ok(detail)
  }
  t.equal((await demo.get('/users')).json.total, 0)
})

t.test('other content types and codings are 415', async (t) => {
  const demo = await startDemo(t)
  const body = '{"email":"ann@example.com"}'
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'multipart/form-data; boundary=json',
  ]) {
    const found = await demo.post('/users', body, { 'content-type': type })
    isProblem(t, found, 415)
    t.equal(found.headers.get('accept'), 'application/json')
  }
  isProblem(t, await demo.post('/users', body, { 'content-encoding': 'gzip' }), 415)
  const untyped = fetch(`${demo.url}/users`, { method: 'POST', body: Buffer.from(body) })
  isProblem(t, await answer(untyped), 415)
  t.equal((await demo.post('/users', body, { 'content-type': 'Application/JSON; charset=utf-8' })).status, 201)
  const other = await demo.post('/users', '{"email":"b@example.com"}', {
    'content-type': 'application/merge-patch+json',
  })
  t.equal(other.status, 201)
})

t.test('a body over 64 KiB is 413, whether or not it says its length', async (t) => {
  const demo = await startDemo(t)
  const sized = (bytes: number) => {
    const frame = JSON.stringify({ email: 'ann@example.com', pad: '' })
    return frame.replace('""', `"${'x'.repeat(bytes - frame.length)}"`)
  }
  isProblem(t, await demo.post('/users', sized(64 * 1024 + 1)), 413)
  isProblem(t, await demo.post('/users', sized(5_000_000)), 413)
  const headers = { 'content-type': 'application/json' }
  const body = new Blob([sized(1_000_000)]).stream()
  const chunked = fetch(`${demo.url}/users`, { method: 'POST', headers, body, duplex: 'half' })
  isProblem(t, await answer(chunked), 413)
  t.equal((await demo.post('/users', sized(64 * 1024))).status, 201)
})

t.test('the number of users is bounded', async (t) => {
  const demo = await startDemo(t, { maxUsers: 2 })
  t.equal((await demo.post('/users', { email: 'a@example.com' })).status, 201)
  t.equal((await demo.post('/users', { email: 'b@example.com' })).status, 201)
  isProblem(t, await demo.post('/users', { email: 'c@example.com' }), 507, '/problems/users-full')
  isProblem(t, await demo.post('/users', { email: 'a@example.com' }), 409, '/problems/email-taken')
})

t.test('an unknown user is 404', async (t) => {
  const demo = await startDemo(t)
  for (const id of ['x', '__proto__', '%00', '%E0%A4%A']) isProblem(t, await demo.get(`/users/${id}`), 404)
})

t.test('a client that goes while it sends leaves no error in the log', async (t) => {
  const demo = await startDemo(t)
  const aborting = new AbortController()
  const body = new ReadableStream({
    pull(stream) {
      stream.enqueue(Buffer.from('{'))
      return new Promise(() => {})
    },
  })
  const headers = { 'content-type': 'application/json' }
  const gone = fetch(`${demo.url}/users`, { method: 'POST', headers, body, duplex: 'half', signal: aborting.signal })
  const rejected = t.rejects(gone)
  await demo.get('/healthz')
  aborting.abort()
  await rejected
  await demo.close()
  t.same(demo.logged, [])
})

t.test('a user is replaced as it was read, once', async (t) => {
  const demo = await startDemo(t)
  const created = await demo.post('/users', { email: 'ann@example.com', name: 'Ann' })
  const path = `/users/${created.json.id}`
  const etag = created.headers.get('etag')!
  t.match(etag, /^"[\w-]+"$/)
  t.equal((await demo.get(path)).headers.get('etag'), etag)
  const wanted = { email: 'Ann@New.example', name: 'Ann N.' }
  const answers = await Promise.all(Array.from({ length: 10 }, () => demo.put(path, wanted, { 'if-match': etag })))
  const [replaced, ...others] = answers.sort((a, b) => a.status - b.status)
  t.equal(replaced?.status, 200)
  t.match(replaced?.json, { id: created.json.id, email: 'ann@new.example', name: 'Ann N.' })
  t.equal(replaced?.json.created_at, created.json.created_at)
  for (const other of others) isProblem(t, other, 412, '/problems/user-changed')
  const now = await demo.get(path)
  t.same(now.json, replaced?.json)
  t.equal(now.headers.get('etag'), replaced?.headers.get('etag'))
  t.not(now.headers.get('etag'), etag)
  t.equal((await demo.post('/users', { email: 'ann@example.com' })).status, 201, 'the old email is free')
})

t.test('a user is not replaced without its tag, nor with a weak or another', async (t) => {
  const demo = await startDemo(t)
  const { json, headers } = await demo.post('/users', { email: 'ann@example.com' })
  const path = `/users/${json.id}`
  const etag = headers.get('etag')!
  const body = { email: 'bob@example.com' }
  isProblem(t, await demo.put(path, body), 428, '/problems/if-match-missing')
  for (const tag of [`W/${etag}`, '"other"', etag.slice(1, -1)]) {
    isProblem(t, await demo.put(path, body, { 'if-match': tag }), 412, '/problems/user-changed')
  }
  isProblem(t, await demo.put('/users/none', body, { 'if-match': '*' }), 404)
  isProblem(t, await demo.put(path, { email: 'no' }, { 'if-match': etag }), 422, '/problems/invalid-body')
  isProblem(t, await demo.put(path, '{', { 'if-match': etag }), 400)
  t.same((await demo.get(path)).json, json)
  t.equal((await demo.put(path, body, { 'if-match': `"other", ${etag}` })).status, 200)
  t.equal((await demo.put(path, body, { 'if-match': '*' })).status, 200)
})

t.test('an email that another has is a conflict for a replacement, too', async (t) => {
  const demo = await startDemo(t, { conflictStatus: 422 })
  await demo.post('/users', { email: 'bob@example.com' })
  const { json, headers } = await demo.post('/users', { email: 'ann@example.com' })
  const match = { 'if-match': headers.get('etag')! }
  isProblem(t, await demo.put(`/users/${json.id}`, { email: 'BOB@example.com' }, match), 422, '/problems/email-taken')
})
