import { createHash } from 'node:crypto'
import { parseItem } from 'structured-headers'
import type { IdempotencyKeys, StoredResponse } from './idempotency-keys.ts'
import { problem } from './problem.ts'

/** A request that is to be done once, however often it comes. */
export type OnceOptions = {
  /** Everything that makes it this request. */
  readonly request: unknown
  /** Does it, under an id that is the same for every repeat; `kept` is what repeats are answered with, if it was done. */
  first(id: string): Promise<{ readonly response: Response; readonly kept?: StoredResponse }>
  /** Answers a repeat. */
  again(kept: StoredResponse): Promise<Response>
}

const MAX_KEY_LENGTH = 255
const IN_USE_RETRY_AFTER_SECONDS = '1'

/**
 * The value of an Idempotency-Key field (draft-ietf-httpapi-idempotency-key-header-07 section 2.1: a Structured Field
 * String); undefined when there is none, a 400 problem when it is no such value.
 */
export function readIdempotencyKey(field: string | undefined): string | Response | undefined {
  if (field === undefined) return undefined
  const key = stringItem(field)
  if (key !== undefined && key.length > 0 && key.length <= MAX_KEY_LENGTH) return key
  const detail = `Idempotency-Key: ${field.slice(0, 60)} is not acceptable; write 1 to 255 characters in double quotes`
  return problem(400, { type: 'idempotency-key', detail })
}

/**
 * Does a request once for its key (section 2.6 of the draft): a repeat gets the answer of the first, 409 while that is
 * under way, 422 when it is another request. What was not done, or not known to be done, may be tried again under the
 * same key and has the same id then: whoever tells repeats by the id acts once.
 */
export async function respondOnce(keys: IdempotencyKeys, key: string, once: OnceOptions): Promise<Response> {
  const fingerprint = hash(JSON.stringify(once.request))
  const name = hash(key)
  const known = await keys.claim(name, fingerprint)
  if (known === undefined) return answerFirst(keys, name, fingerprint, once)
  if (known.fingerprint !== fingerprint) {
    const detail = 'This key was used for another request; use a new one for each request.'
    return problem(422, { type: 'idempotency-key-reused', detail })
  }
  if (known.answer === null) {
    const details = { type: 'idempotency-key-in-use', detail: 'The first request has no answer yet.' } as const
    return problem(409, details, { 'retry-after': IN_USE_RETRY_AFTER_SECONDS })
  }
  return once.again(known.answer)
}

async function answerFirst(
  keys: IdempotencyKeys,
  name: string,
  fingerprint: string,
  once: OnceOptions,
): Promise<Response> {
  try {
    const { response, kept } = await once.first(idOf(name, fingerprint))
    if (kept === undefined) await keys.release(name)
    else await keys.settle(name, { fingerprint, answer: kept })
    return response
  } catch (error) {
    // The storage may be what is away; then the claim ends by itself.
    await keys.release(name).catch(() => {})
    throw error
  }
}

function stringItem(field: string): string | undefined {
  try {
    const [value] = parseItem(field)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** In the form of a UUID (version 8, RFC 9562: of one's own making). */
function idOf(name: string, fingerprint: string): string {
  const hex = hash(name + fingerprint)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
