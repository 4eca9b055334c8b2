import t from 'tap'
import { isProblem, startDemo } from './demo-under-test.ts'
import { until } from './manual-timers.ts'

t.test('the answer comes after the time that was asked for', async (t) => {
  const { timers, get } = await startDemo(t)
  let answered = false
  const pending = get('/slow?ms=60000').finally(() => {
    answered = true
  })
  await until(() => timers.pending().includes(60_000))
  await timers.advance(59_999)
  t.equal(answered, false)
  await timers.advance(1)
  t.match(await pending, { status: 200, json: { ms: 60_000 } })
})

t.test('a time out of range is 422', async (t) => {
  const { get } = await startDemo(t)
  for (const ms of ['-1', '60001', 'x']) isProblem(t, await get(`/slow?ms=${ms}`), 422, '/problems/invalid-query')
})

t.test('a client that goes leaves no timer', async (t) => {
  const { timers, url } = await startDemo(t)
  const aborting = new AbortController()
  const rejected = t.rejects(fetch(`${url}/slow?ms=60000`, { signal: aborting.signal }))
  await until(() => timers.pending().length === 1)
  aborting.abort()
  await rejected
  await until(() => timers.pending().length === 0)
  t.pass()
})
