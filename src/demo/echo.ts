import type { IncomingMessage } from 'node:http'
import type { Context, Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { streamJson, streamResponse } from './stream-response.ts'

/** What a request looked like on arrival: how one sees what a proxy made of it. */
export type Echo = {
  readonly method: string
  /** The request target as it was on the line, not resolved, not decoded. */
  readonly url: string
  readonly http_version: string
  /** Lower-case names, joined as Node joins them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Each field line as sent: order, case and duplicates kept. */
  readonly raw_headers: readonly (readonly [string, string])[]
  readonly raw_trailers: readonly (readonly [string, string])[]
  readonly body_length: number
  /** As UTF-8; null when longer than 64 KiB, for then it is counted, not kept. */
  readonly body: string | null
}

const MAX_TEXT_BYTES = 64 * 1024

/** `/echo` and everything below it, by any method: answers with the request as JSON. */
export function echoRoutes(app: Hono<DemoEnv>): void {
  app.all('/echo/*', (c) => streamResponse(c, echo))
}

async function echo(c: Context<DemoEnv>): Promise<void> {
  const { incoming, outgoing } = c.env
  const { length, text } = await readText(incoming)
  const answer: Echo = {
    method: incoming.method ?? '',
    url: incoming.url ?? '',
    http_version: incoming.httpVersion,
    headers: incoming.headers,
    raw_headers: pairs(incoming.rawHeaders),
    raw_trailers: pairs(incoming.rawTrailers),
    body_length: length,
    body: text,
  }
  streamJson(outgoing, answer)
}

async function readText(incoming: IncomingMessage): Promise<{ readonly length: number; readonly text: string | null }> {
  let kept: Buffer[] = []
  let length = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length <= MAX_TEXT_BYTES) kept.push(chunk)
    else kept = []
  }
  return { length, text: length <= MAX_TEXT_BYTES ? Buffer.concat(kept).toString() : null }
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index]!, raw[2 * index + 1]!])
}
