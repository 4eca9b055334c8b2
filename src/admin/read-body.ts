import type { IncomingMessage } from 'node:http'
import { type AdminAnswer, problem } from './route.ts'

/** No body that is meant for the admin port is longer: a token to look up is the longest. */
const MAX_BODY_BYTES = 16 * 1024

export type ReadBody = { readonly body: Readonly<Record<string, unknown>> } | { readonly refusal: AdminAnswer }

/** Reads a body of JSON, an object; none is an empty one. Rejects when the client leaves. */
export async function readBody(request: IncomingMessage): Promise<ReadBody> {
  const { headers } = request
  if (headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0') return { body: {} }
  // A form can be sent across sites without being asked about (Fetch standard, simple requests); this type cannot.
  if (!/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '')) {
    return { refusal: problem(415, 'The body must be JSON: send Content-Type: application/json.') }
  }
  if (Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES) return { refusal: TOO_LONG }
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MAX_BODY_BYTES) return { refusal: TOO_LONG }
    parts.push(part)
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'))
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { body: { ...body } }
  } catch {
    // What it is instead may be a secret: the problem does not show it.
  }
  return { refusal: problem(400, 'The body is not a JSON object: write {"name": "value"}.') }
}

const TOO_LONG = problem(413, `The body is longer than ${MAX_BODY_BYTES} bytes.`)
