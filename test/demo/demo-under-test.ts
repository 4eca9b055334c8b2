import type { Test } from 'tap'
import { createDemo, type DemoOptions } from '../../src/demo/server.ts'
import { createLog } from '../../src/log.ts'
import { createManualTimers, type ManualTimers } from './manual-timers.ts'

export type DemoUnderTest = {
  readonly url: string
  readonly timers: ManualTimers
  /** What it has logged, line by line. */
  readonly logged: readonly string[]
  close(): Promise<void>
  get(path: string): Promise<Answer>
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>
  put(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>
}

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came
  readonly json: any
}

/** A demo on a free port whose time stands still and whose third party never fails, closed when the test ends. */
export async function startDemo(t: Test, options: Partial<DemoOptions> = {}): Promise<DemoUnderTest> {
  const timers = createManualTimers()
  const logged: string[] = []
  const log = createLog({ level: 'info', destination: { write: (line) => void logged.push(line) } })
  const demo = createDemo({ port: 0, log, timers, thirdPartyFailures: 0, ...options })
  const { url } = await demo.start()
  t.teardown(() => demo.close())
  return {
    url,
    timers,
    logged,
    close: () => demo.close(),
    get: (path) => answer(fetch(url + path)),
    post: (path, body, headers) => send('POST', path, body, headers),
    put: (path, body, headers) => send('PUT', path, body, headers),
  }

  function send(method: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const init = { method, body: text, headers: { 'content-type': 'application/json', ...headers } }
    return answer(fetch(url + path, init))
  }
}

/** An answer read to its end; `json` when it says that it is. */
export async function answer(pending: Promise<Response>): Promise<Answer> {
  const response = await pending
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '') && text !== ''
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined }
}

/** Holds an answer to RFC 9457: its media type, and a body that agrees with its status and shows no stack. */
export function isProblem(t: Test, found: Answer, status: number, type = 'about:blank'): void {
  t.equal(found.status, status)
  t.equal(found.headers.get('content-type'), 'application/problem+json')
  t.equal(found.json?.status, status)
  t.equal(found.json?.type, type)
  t.ok(found.json?.title && found.json?.detail, 'it has a title and a detail')
  t.equal(/\bat .*\.[jt]s:\d/.test(found.text), false, 'it shows no stack')
}
