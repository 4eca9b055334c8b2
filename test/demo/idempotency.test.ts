import t from 'tap'
import { type Answer, isProblem, startDemo } from './demo-under-test.ts'
import { until } from './manual-timers.ts'

const key = (value: string) => ({ 'idempotency-key': value })
const order = { partner: 'acme', payload: { order: 7 } }

t.test('the same request under the same key is the same job', async (t) => {
  const demo = await startDemo(t)
  const first = await demo.post('/integrations', order, key('"k1"'))
  t.equal(first.status, 202)
  await demo.timers.advance(1500)
  const again = await demo.post('/integrations', { payload: { order: 7 }, partner: 'acme' }, key('"k1"'))
  t.equal(again.status, 202)
  t.equal(again.headers.get('location'), first.headers.get('location'))
  t.match(again.json, { id: first.json.id, state: 'done', attempts: 1 })
  t.equal((await demo.get('/jobs')).json.total, 1)
  const other = await demo.post('/integrations', order, key('"k2"'))
  t.not(other.json.id, first.json.id)
  t.not((await demo.post('/integrations', order)).json.id, first.json.id)
})

t.test('of many that race under one key exactly one makes a job', async (t) => {
  const demo = await startDemo(t)
  const answers = await Promise.all(Array.from({ length: 20 }, () => demo.post('/integrations', order, key('"race"'))))
  const made = answers.filter(({ status }) => status === 202)
  t.equal(new Set(made.map(({ json }) => json.id)).size, 1)
  for (const found of answers.filter(({ status }) => status !== 202)) {
    isProblem(t, found, 409, '/problems/idempotency-key-in-use')
  }
  t.equal((await demo.get('/jobs')).json.total, 1)
})

t.test('another request under the same key is 422', async (t) => {
  const demo = await startDemo(t)
  await demo.post('/integrations', order, key('"k"'))
  for (const [path, body] of [
    ['/integrations', { ...order, payload: { order: 8 } }],
    ['/integrations', { ...order, partner: 'other' }],
    ['/integrations?wait=1', order],
  ] as const) {
    isProblem(t, await demo.post(path, body, key('"k"')), 422, '/problems/idempotency-key-reused')
  }
  t.equal((await demo.get('/jobs')).json.total, 1)
})

t.test('with wait=1 a repeat is 409 while the first is under way, and has its answer afterwards', async (t) => {
  const demo = await startDemo(t)
  const first = demo.post('/integrations?wait=1', order, key('"w"'))
  await until(() => demo.timers.pending().includes(1500))
  const early = await demo.post('/integrations?wait=1', order, key('"w"'))
  isProblem(t, early, 409, '/problems/idempotency-key-in-use')
  t.match(early.headers.get('retry-after'), /^[1-9]\d*$/)
  await demo.timers.advance(1500)
  const { status, json } = await first
  t.equal(status, 200)
  const later = await demo.post('/integrations?wait=1', order, key('"w"'))
  t.equal(later.status, 200)
  t.same(later.json, json)
})

t.test('what failed may be tried again under its key, as the same to the third party', async (t) => {
  let chance = 0.3
  const demo = await startDemo(t, { thirdPartyFailures: 0.4, random: () => chance })
  const call = async (): Promise<Answer> => {
    const pending = demo.post('/integrations?wait=1', order, key('"f"'))
    await until(() => demo.timers.pending().includes(1500))
    await demo.timers.advance(1500)
    return pending
  }
  // It acts, and the answer is lost on the way.
  isProblem(t, await call(), 502, '/problems/third-party-failed')
  chance = 0.9
  const { status, json } = await call()
  t.equal(status, 200)
  t.equal(json.result.reference, 'acme-1', 'it has acted once')
})

t.test('a key is forgotten after a day', async (t) => {
  const demo = await startDemo(t)
  await demo.post('/integrations', order, key('"day"'))
  await demo.timers.advance(24 * 3_600_000 - 1)
  isProblem(
    t,
    await demo.post('/integrations', { partner: 'b' }, key('"day"')),
    422,
    '/problems/idempotency-key-reused',
  )
  await demo.timers.advance(1)
  t.equal((await demo.post('/integrations', { partner: 'b' }, key('"day"'))).status, 202)
})

t.test('what is no key is 400, and nothing is queued', async (t) => {
  const demo = await startDemo(t)
  for (const value of ['', 'bare', '""', `"${'x'.repeat(256)}"`, '1', '"a", "b"', '"open', '?1']) {
    const found = await demo.post('/integrations', order, key(value))
    isProblem(t, found, 400, '/problems/idempotency-key')
  }
  t.equal((await demo.get('/jobs')).json.total, 0)
})

t.test('a refused body does not use up the key', async (t) => {
  const demo = await startDemo(t)
  isProblem(t, await demo.post('/integrations', {}, key('"b"')), 422, '/problems/invalid-body')
  t.equal((await demo.post('/integrations', order, key('"b"'))).status, 202)
})
