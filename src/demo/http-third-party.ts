import { isObject } from './body.ts'
import type { IntegrationResult } from './job.ts'
import type { CallOutcome, ThirdParty } from './third-party.ts'
import { reasonOf } from './with-timeout.ts'

/** More of an answer is not read. */
const MAX_ANSWER_BYTES = 64 * 1024

/**
 * A third party over HTTP: `POST url` with `{"partner", "payload"}` and the key as `Idempotency-Key`, by which it tells
 * repeats (draft-ietf-httpapi-idempotency-key-header). It has acted when it answers 2xx with `{"reference", "acted_at"}`.
 */
export function createHttpThirdParty({ url }: { readonly url: string }): ThirdParty {
  return {
    async call(key, { partner, payload }, signal): Promise<CallOutcome> {
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': `"${key}"` },
          body: JSON.stringify({ partner, payload }),
          redirect: 'error',
          signal,
        })
        if (!response.ok) {
          await response.body?.cancel()
          return { kind: 'failed', error: `the third party answered ${response.status}` }
        }
        const result = readResult(await textOf(response))
        return result === undefined
          ? { kind: 'failed', error: 'the third party answered what is no result' }
          : { kind: 'succeeded', result }
      } catch (error) {
        if (signal.aborted) return { kind: 'aborted' }
        const { cause } = error as { cause?: unknown }
        return { kind: 'failed', error: `the third party did not answer: ${reasonOf(cause ?? error)}` }
      }
    },
  }
}

async function textOf(response: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_ANSWER_BYTES) throw new Error('its answer is too large')
  }
  return text
}

function readResult(text: string): IntegrationResult | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value)) return undefined
    const { reference, acted_at } = value
    return typeof reference === 'string' && typeof acted_at === 'string' ? { reference, acted_at } : undefined
  } catch {
    return undefined
  }
}
