import t from 'tap'
import { answer, isProblem, startDemo } from './demo-under-test.ts'
import { until } from './manual-timers.ts'

t.test('an integration is accepted at once, and done later', async (t) => {
  const demo = await startDemo(t)
  const accepted = await demo.post('/integrations', { partner: 'acme', payload: { order: 7 } })
  t.equal(accepted.status, 202)
  t.match(accepted.json, { state: 'queued', partner: 'acme', attempts: 0, max_attempts: 5 })
  t.equal(accepted.headers.get('location'), `/jobs/${accepted.json.id}`)
  t.equal(accepted.headers.get('retry-after'), '1')

  t.match((await demo.get(`/jobs/${accepted.json.id}`)).json, { state: 'running', attempts: 1, result: null })
  await demo.timers.advance(1500)
  const { status, headers, json } = await demo.get(accepted.headers.get('location')!)
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'private, max-age=0')
  t.match(json, {
    id: accepted.json.id,
    state: 'done',
    attempts: 1,
    next_attempt_at: null,
    last_error: null,
    result: { reference: 'acme-1' },
    created_at: '2026-01-01T00:00:00.000Z',
    finished_at: '2026-01-01T00:00:01.500Z',
  })
})

t.test('a job that fails shows when it is tried next, and in the end that it is dead', async (t) => {
  const demo = await startDemo(t, { thirdPartyFailures: 1, random: () => 0.5 })
  const { json } = await demo.post('/integrations', { partner: 'acme' })
  await demo.timers.advance(1500)
  t.match((await demo.get(`/jobs/${json.id}`)).json, {
    state: 'failed',
    attempts: 1,
    last_error: /third party/,
    next_attempt_at: '2026-01-01T00:00:02.250Z',
    finished_at: null,
  })
  await demo.timers.advance(120_000)
  t.match((await demo.get(`/jobs/${json.id}`)).json, {
    state: 'dead',
    attempts: 5,
    next_attempt_at: null,
    result: null,
  })
})

t.test('with wait=1 the caller waits for the third party', async (t) => {
  const demo = await startDemo(t)
  const pending = demo.post('/integrations?wait=1', { partner: 'acme' })
  await until(() => demo.timers.pending().includes(1500))
  await demo.timers.advance(1500)
  const { status, json } = await pending
  t.equal(status, 200)
  t.match(json, { state: 'done', result: { reference: 'acme-1' } })
  t.equal((await demo.get('/jobs')).json.total, 0)
})

t.test("with wait=1 a failure is the caller's to see", async (t) => {
  const demo = await startDemo(t, { thirdPartyFailures: 1 })
  const pending = demo.post('/integrations?wait=1', { partner: 'acme' })
  await until(() => demo.timers.pending().includes(1500))
  await demo.timers.advance(1500)
  isProblem(t, await pending, 502, '/problems/third-party-failed')
})

t.test('with wait=1 a caller that goes leaves no timer', async (t) => {
  const demo = await startDemo(t)
  const aborting = new AbortController()
  const headers = { 'content-type': 'application/json' }
  const init = { method: 'POST', headers, body: '{"partner":"acme"}', signal: aborting.signal }
  const rejected = t.rejects(fetch(`${demo.url}/integrations?wait=1`, init))
  await until(() => demo.timers.pending().length === 1)
  aborting.abort()
  await rejected
  await until(() => demo.timers.pending().length === 0)
  t.pass()
})

t.test('what breaks a rule is refused, and nothing is queued', async (t) => {
  const demo = await startDemo(t)
  for (const body of [
    {},
    { partner: 1 },
    { partner: '' },
    { partner: 'Acme' },
    { partner: 'a'.repeat(65) },
    { partner: '../x' },
  ]) {
    const found = await demo.post('/integrations', body)
    isProblem(t, found, 422, '/problems/invalid-body')
    t.match(found.json.errors, [{ pointer: '#/partner' }])
  }
  isProblem(t, await demo.post('/integrations', '{'), 400)
  isProblem(t, await demo.post('/integrations', '{}', { 'content-type': 'text/plain' }), 415)
  isProblem(t, await demo.post('/integrations', { partner: 'a', payload: 'x'.repeat(9000) }), 413)
  isProblem(t, await demo.post('/integrations?wait=yes', { partner: 'a' }), 422, '/problems/invalid-query')
  t.equal((await demo.get('/jobs')).json.total, 0)
})

t.test('a deeply nested payload does no harm', async (t) => {
  const demo = await startDemo(t)
  const depth = 4000
  const found = await demo.post('/integrations', `{"partner":"a","payload":${'['.repeat(depth)}${']'.repeat(depth)}}`)
  t.equal(found.status, 202)
  await demo.timers.advance(1500)
  t.match((await demo.get(`/jobs/${found.json.id}`)).json, { state: 'done' })
})

t.test('a full queue is 503 with Retry-After, and takes again when there is room', async (t) => {
  const demo = await startDemo(t, { maxJobs: 3 })
  for (let n = 0; n < 3; n++) t.equal((await demo.post('/integrations', { partner: 'acme' })).status, 202)
  const full = await demo.post('/integrations', { partner: 'acme' })
  isProblem(t, full, 503, '/problems/queue-full')
  t.match(full.headers.get('retry-after'), /^[1-9]\d*$/)
  t.equal((await demo.get('/jobs')).json.total, 3)
  await demo.timers.advance(1500)
  t.equal((await demo.post('/integrations', { partner: 'acme' })).status, 202)
})

t.test('jobs are listed the newest first, and the oldest finished are dropped', async (t) => {
  let ids = 0
  const demo = await startDemo(t, { maxJobs: 4, newId: () => `job-${++ids}` })
  for (let n = 0; n < 6; n++) {
    await demo.post('/integrations', { partner: 'acme' })
    await demo.timers.advance(1500)
  }
  const { json, headers } = await demo.get('/jobs?per_page=3')
  t.equal(json.total, 4)
  t.same(
    json.jobs.map(({ id }: { id: string }) => id),
    ['job-6', 'job-5', 'job-4'],
  )
  t.match(headers.get('link'), '</jobs?page=2&per_page=3>; rel="next"')
  isProblem(t, await demo.get('/jobs/job-1'), 404)
  isProblem(t, await demo.get('/jobs?page=0'), 422, '/problems/invalid-query')
})

t.test('an unknown job is 404', async (t) => {
  const demo = await startDemo(t)
  isProblem(t, await demo.get('/jobs/x'), 404)
  isProblem(t, await answer(fetch(`${demo.url}/jobs/x`, { method: 'DELETE' })), 405)
})
