import type { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { problem } from './problem.ts'

/** A JSON object, its values not looked at yet. */
export type JsonObject = { readonly [key: string]: unknown }

/**
 * Reads a request's body as a JSON object. Or the problem to answer with: 415 for another content type or a coding,
 * 413 above `maxBytes` (which are never held), 400 for what is not JSON in UTF-8, 422 for JSON that is no object.
 */
export async function readJsonObject(c: Context<DemoEnv>, maxBytes: number): Promise<JsonObject | Response> {
  if (!isJson(c.req.header('content-type')) || (c.req.header('content-encoding') ?? 'identity') !== 'identity') {
    const detail = 'Send the body as Content-Type: application/json, without a Content-Encoding.'
    return problem(415, { detail }, { accept: 'application/json' })
  }
  const bytes = await readBytes(c.env.incoming, maxBytes)
  if (bytes === undefined) {
    return problem(413, { detail: `The body is larger than ${maxBytes} bytes; send less.` })
  }
  const value = parseJson(bytes)
  if (value === undefined) return problem(400, { detail: 'The body is not JSON in UTF-8.' })
  if (!isObject(value)) {
    const errors = [{ pointer: '#', detail: 'Write a JSON object.' }]
    return problem(422, { type: 'invalid-body', detail: 'The body is JSON, but no object.', errors })
  }
  return value
}

/** Whether a value out of JSON is an object (not null, not an array). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isJson(contentType: string | undefined): boolean {
  const [essence = ''] = (contentType ?? '').split(';')
  return /^application\/(?:[a-z0-9.-]+\+)?json$/.test(essence.trim().toLowerCase())
}

/** Rejects when the client goes away; resolves to undefined as soon as there is one byte too many. */
function readBytes(incoming: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  if (Number(incoming.headers['content-length']) > maxBytes) return Promise.resolve(undefined)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    function take(chunk: Buffer): void {
      length += chunk.length
      chunks.push(chunk)
      if (length <= maxBytes) return
      incoming.off('data', take).pause()
      resolve(undefined)
    }
    incoming.on('data', take)
    incoming.on('end', () => resolve(Buffer.concat(chunks)))
    incoming.on('error', reject)
    incoming.on('close', () => reject(new Error('the client went away')))
  })
}

/** Undefined for what is not JSON: JSON itself has no undefined. */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return undefined
  }
}
