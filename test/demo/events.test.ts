import { Writable } from 'node:stream'
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import t from 'tap'
import { eventRoutes } from '../../src/demo/events.ts'
import type { DemoEnv } from '../../src/demo/hono-env.ts'
import { listenToWarnings } from '../fixtures/warnings.ts'
import { isProblem, startDemo } from './demo-under-test.ts'
import { createManualTimers, until } from './manual-timers.ts'

t.test('an event is sent at once and one each second', async (t) => {
  const { url, timers } = await startDemo(t)
  const aborting = new AbortController()
  const response = await fetch(`${url}/sse`, { signal: aborting.signal })
  t.equal(response.headers.get('content-type'), 'text/event-stream')
  t.equal(response.headers.get('cache-control'), 'no-store')
  const events = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  t.equal((await events.read()).value, 'id: 1\nevent: tick\ndata: {"n":1,"at":"2026-01-01T00:00:00.000Z"}\n\n')
  await timers.advance(1000)
  t.equal((await events.read()).value, 'id: 2\nevent: tick\ndata: {"n":2,"at":"2026-01-01T00:00:01.000Z"}\n\n')
  const cancelled = t.rejects(events.read())
  aborting.abort()
  await cancelled
  await until(() => timers.pending().length === 0)
})

t.test('as many come as were asked for, as fast as was asked for', async (t) => {
  const { get, timers } = await startDemo(t)
  const pending = get('/sse?ms=10&count=3')
  await until(() => timers.pending().includes(10))
  await timers.advance(20)
  t.same((await pending).text.match(/^id: \d$/gm), ['id: 1', 'id: 2', 'id: 3'])
})

t.test('what is out of range is 422', async (t) => {
  const { get } = await startDemo(t)
  for (const query of ['ms=9', 'ms=10001', 'ms=x', 'count=0', 'count=']) {
    isProblem(t, await get(`/sse?${query}`), 422, '/problems/invalid-query')
  }
})

t.test('HEAD has no stream', async (t) => {
  const { url, timers } = await startDemo(t)
  const response = await fetch(`${url}/sse`, { method: 'HEAD' })
  t.equal(response.headers.get('content-type'), 'text/event-stream')
  t.same(timers.pending(), [])
})

t.test('closing the demo ends many streams properly', async (t) => {
  const demo = await startDemo(t)
  const warnings = listenToWarnings(t)
  const streams = await Promise.all(Array.from({ length: 30 }, () => fetch(`${demo.url}/sse`)))
  const texts = Promise.all(streams.map((stream) => stream.text()))
  await until(() => demo.timers.pending().length === 30)
  await demo.close()
  for (const each of await texts) t.match(each, /^id: 1\n/)
  t.same(demo.timers.pending(), [])
  t.same(warnings, [])
})

t.test('a reader that is slower than the events misses some, and they do not pile up', async (t) => {
  const timers = createManualTimers()
  const app = new Hono<DemoEnv>()
  eventRoutes(app, timers, new AbortController().signal)
  const written: string[] = []
  const readers: (() => void)[] = []
  const stuck = new Writable({
    highWaterMark: 100,
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      readers.push(done)
    },
  })
  const outgoing = Object.assign(stuck, { writeHead: () => {}, flushHeaders: () => {} })
  const answered = app.request('/sse?ms=10&count=100', {}, { outgoing } as unknown as HttpBindings)
  await timers.advance(500)
  t.ok(stuck.writableLength < 300, 'two events at most are held')
  while (readers.length > 0) readers.shift()?.()
  await timers.advance(500)
  stuck.destroy()
  await answered
  t.match(written[0], /^id: 1\n/)
  t.match(written[2], /^id: 5\d\n/, 'after the gap it goes on with the latest')
})
