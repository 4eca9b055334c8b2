import type { Line } from '../line.ts'
import { asBytes, isHidden, type JsonObject, textAt } from './json-fields.ts'
import { readIsoTime } from './log-time.ts'
import { type JsonReader, lacks } from './reader.ts'

const FIELD = 'request_'

/**
 * Reads Traefik's access log as JSON. The time is the request's start; the client is what X-Forwarded-For said where it came with one,
 * a list then. Header fields (`request_User-Agent`) are there as far as it is told to keep them.
 */
export const traefik: JsonReader = {
  format: 'traefik',
  keys: ['ClientHost', 'RequestMethod', 'RequestPath', 'StartUTC'],
  recognises: (object) => typeof object.RequestMethod === 'string' && 'ClientHost' in object,
  read: readTraefik,
}

function readTraefik(object: JsonObject): Line {
  const timeUs = timeOf(object)
  const method = textAt(object, 'RequestMethod')
  const target = textAt(object, 'RequestPath')
  if (method === null || target === null) return lacks('traefik', 'RequestMethod or RequestPath is empty or no text')
  if (timeUs === null)
    return lacks('traefik', 'none of StartUTC, StartLocal, time is a time as 2016-04-15T20:17:00.310Z')
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
