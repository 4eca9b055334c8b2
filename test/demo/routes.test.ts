import type { HttpBindings } from '@hono/node-server'
import t from 'tap'
import { createRoutes, type RoutesOptions } from '../../src/demo/routes.ts'
import { createLog } from '../../src/log.ts'
import { answer, isProblem, startDemo } from './demo-under-test.ts'
import { createManualTimers } from './manual-timers.ts'

t.test('an unknown path is 404', async (t) => {
  const { get } = await startDemo(t)
  for (const path of ['/x', '/items/', '/items/1', '/ITEMS', '/users/a/b', '/__proto__'])
    isProblem(t, await get(path), 404)
})

t.test('a wrong method is 405, with those that are right', async (t) => {
  const { url } = await startDemo(t)
  const wrong = [
    ['DELETE', '/items', 'GET, HEAD'],
    ['PUT', '/users', 'GET, HEAD, POST'],
    ['PATCH', '/users/1', 'GET, HEAD, PUT'],
    ['GET', '/integrations', 'POST'],
    ['HEAD', '/integrations', 'POST'],
    ['POST', '/jobs', 'GET, HEAD'],
    ['POST', '/slow', 'GET, HEAD'],
    ['POST', '/sse', 'GET, HEAD'],
    ['POST', '/bytes', 'GET, HEAD'],
    ['GET', '/upload', 'POST, PUT, PATCH'],
    ['POST', '/', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['POST', '/problems/x', 'GET, HEAD'],
    ['OPTIONS', '/items', 'GET, HEAD'],
    ['POST', '/ws', 'GET, HEAD'],
  ] as const
  for (const [method, path, allow] of wrong) {
    const found = await answer(fetch(url + path, { method }))
    if (method !== 'HEAD') isProblem(t, found, 405)
    t.equal(found.status, 405, `${method} ${path}`)
    t.equal(found.headers.get('allow'), allow, `${method} ${path}`)
  }
})

t.test('a route that throws is 500 without a stack, and is logged', async (t) => {
  const logged: string[] = []
  const log = createLog({ level: 'info', destination: { write: (line) => void logged.push(line) } })
  const broken = () => Promise.reject(new Error('the secret of the database'))
  const users = { add: broken, get: broken, page: broken }
  const options = { users, log, timers: createManualTimers(), conflictStatus: 409, newId: () => 'a' }
  const routes = createRoutes(options as unknown as RoutesOptions)
  const found = await answer(
    Promise.resolve(routes.request('/users', {}, { outgoing: { destroyed: false } } as unknown as HttpBindings)),
  )
  isProblem(t, found, 500)
  t.notMatch(found.text, /secret/)
  t.match(logged.join(''), /the secret of the database/)
})
