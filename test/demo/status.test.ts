import t from 'tap'
import { answer, isProblem, startDemo } from './demo-under-test.ts'

t.test('each code from 200 to 599 is answered', async (t) => {
  const demo = await startDemo(t)
  for (const code of [200, 201, 203, 299, 301, 302, 307, 400, 401, 418, 429, 499, 500, 503, 599]) {
    const found = await answer(fetch(`${demo.url}/status/${code}`, { redirect: 'manual' }))
    if (code >= 400) isProblem(t, found, code)
    else t.match(found, { status: code, json: { status: code } })
  }
})

t.test('answers without a body have none', async (t) => {
  const demo = await startDemo(t)
  for (const code of [204, 205, 304]) t.match(await demo.get(`/status/${code}`), { status: code, text: '' })
})

t.test('any method will do', async (t) => {
  const demo = await startDemo(t)
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
    t.equal((await fetch(`${demo.url}/status/503`, { method })).status, 503, method)
  }
  t.equal((await demo.post('/status/202', 'x'.repeat(200_000))).status, 202)
})

t.test('Retry-After is as asked for', async (t) => {
  const demo = await startDemo(t)
  t.equal((await demo.get('/status/503?retry_after=7')).headers.get('retry-after'), '7')
  t.equal((await demo.get('/status/429?retry_after=0')).headers.get('retry-after'), '0')
  t.equal((await demo.get('/status/503')).headers.get('retry-after'), null)
  for (const bad of ['-1', 'x', '', '86401']) {
    isProblem(t, await demo.get(`/status/503?retry_after=${bad}`), 422, '/problems/invalid-query')
  }
})

t.test('what is no such code is 422', async (t) => {
  const demo = await startDemo(t)
  for (const code of ['100', '101', '199', '600', '999', '099', '1000', 'x', '2e2', '-200', '200.5']) {
    isProblem(t, await demo.get(`/status/${code}`), 422)
  }
})
