import { type Line, UNREADABLE } from '../line.ts'
import { asBytes, isHidden, type JsonObject, textAt } from './json-fields.ts'
import { readIsoTime } from './log-time.ts'

const FIELD = 'request_'

/** Whether a JSON line is one of Traefik's access log. */
export function isTraefik(object: JsonObject): boolean {
  return typeof object.RequestMethod === 'string' && 'ClientHost' in object
}

/**
 * Reads Traefik's access log as JSON. The time is the request's start; the client is what X-Forwarded-For said where it came with one,
 * a list then. Header fields (`request_User-Agent`) are there as far as it is told to keep them.
 */
export function readTraefik(object: JsonObject): Line {
  const timeUs = timeOf(object)
  const method = textAt(object, 'RequestMethod')
  const target = textAt(object, 'RequestPath')
  if (timeUs === null || method === null || target === null) return UNREADABLE
  const fields: string[] = []
  for (const name of Object.keys(object)) {
    const value = object[name]
    if (!name.startsWith(FIELD) || typeof value !== 'string' || isHidden(value)) continue
    fields.push(asBytes(name.slice(FIELD.length)).toLowerCase(), asBytes(value))
  }
  return {
    kind: 'request',
    format: 'traefik',
    timeUs,
    stepUs: 1,
    method,
    target: asBytes(target),
    host: textAt(object, 'RequestHost') ?? textAt(object, 'RequestAddr'),
    fields,
    hasAllFields: false,
    hasCredentials: false,
    address: textAt(object, 'ClientHost'),
    forwardedFor: null,
  }
}

function timeOf(object: JsonObject): number | null {
  for (const name of ['StartUTC', 'StartLocal', 'time']) {
    const text = textAt(object, name)
    const timeUs = text === null ? null : readIsoTime(text)
    if (timeUs !== null) return timeUs
  }
  return null
}
