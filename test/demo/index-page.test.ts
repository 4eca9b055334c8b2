import t from 'tap'
import { isProblem, startDemo } from './demo-under-test.ts'

t.test('the index lists the routes', async (t) => {
  const { get } = await startDemo(t)
  const { status, headers, text } = await get('/routes')
  t.equal(status, 200)
  t.match(headers.get('content-type'), 'text/html')
  t.match(headers.get('content-security-policy'), "default-src 'none'")
  for (const route of [
    '/items',
    '/users',
    '/integrations',
    '/jobs',
    '/slow',
    '/sse',
    '/ws',
    '/echo',
    '/status',
    '/bytes',
    '/upload',
    '/healthz',
  ]) {
    t.match(text, route)
  }
})

t.test('the demo says that it is up', async (t) => {
  const { get } = await startDemo(t)
  t.match(await get('/healthz'), { status: 200, json: { status: 'ok' } })
})

t.test('each problem type is explained, and no other', async (t) => {
  const { get } = await startDemo(t)
  for (const name of [
    'email-taken',
    'invalid-body',
    'invalid-query',
    'users-full',
    'queue-full',
    'third-party-failed',
  ]) {
    t.match(await get(`/problems/${name}`), { status: 200, text: /\w+\n\n\w+/ })
  }
  for (const name of ['x', 'constructor', '__proto__']) isProblem(t, await get(`/problems/${name}`), 404)
})
