import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Context } from 'hono'
import type { DemoEnv } from './hono-env.ts'

/**
 * Lets `answer` write to Node's own response, for what Hono's does not show: raw headers, back-pressure, a client that
 * leaves. When `answer` throws because the client left, nobody is there to be told, and it ends quietly.
 */
export async function streamResponse(
  c: Context<DemoEnv>,
  answer: (c: Context<DemoEnv>) => Promise<void>,
): Promise<Response> {
  try {
    await answer(c)
  } catch (error) {
    const { outgoing } = c.env
    if (!outgoing.destroyed && !outgoing.headersSent) throw error
    // Half an answer cannot be made an error any more; cut, it is at least not taken for a whole one.
    outgoing.destroy()
  }
  return RESPONSE_ALREADY_SENT
}

/** Answers 200 with a JSON body. */
export function streamJson(outgoing: ServerResponse, value: unknown): void {
  const text = JSON.stringify(value)
  outgoing.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'private, max-age=0',
  })
  outgoing.end(text)
}

/**
 * A signal that aborts when the answer's connection closes: the client is gone, or has the whole answer. And, for
 * answers without an end of their own, when `closing` aborts.
 */
export function disconnectSignal(outgoing: ServerResponse, closing?: AbortSignal): AbortSignal {
  const gone = new AbortController()
  function end(): void {
    // By hand: AbortSignal.any would leave a trace of each answer in a signal that lives as long as the server.
    closing?.removeEventListener('abort', end)
    gone.abort()
  }
  if (outgoing.destroyed || closing?.aborted) end()
  outgoing.once('close', end)
  closing?.addEventListener('abort', end)
  return gone.signal
}
