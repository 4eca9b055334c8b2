import { type Line, OTHER } from '../line.ts'
import { asBytes, isHidden, type JsonObject, numberAt, objectAt, textAt } from './json-fields.ts'
import { readIsoTime } from './log-time.ts'
import { type JsonReader, lacks } from './reader.ts'

/**
 * Reads Caddy's access log (`http.log.access`): all fields of the request but the values of Cookie and Authorization, which it hides unless
 * it is told otherwise. The time is the answer's end, from which the duration leads back to the start.
 */
export const caddy: JsonReader = {
  format: 'caddy',
  keys: ['level', 'logger', 'ts', 'request'],
  recognises: (object) => typeof object.logger === 'string' && typeof object.level === 'string',
  read: readCaddy,
}

function readCaddy(object: JsonObject): Line {
  if (!(object.logger as string).startsWith('http.log.access')) return OTHER
  const request = objectAt(object, 'request')
  const endUs = timeOf(object)
  const method = request && textAt(request, 'method')
  const target = request && textAt(request, 'uri')
  if (request === null || method === null || target === null) {
    return lacks('caddy', "'request' is not an object with method and uri")
  }
  if (endUs === null) return lacks('caddy', "'ts' is neither seconds since 1970 nor a time as 2016-04-15T20:17:00.310Z")
  const { fields, isRedacted } = fieldsOf(objectAt(request, 'headers') ?? {})
  return {
    kind: 'request',
    format: 'caddy',
    timeUs: endUs - Math.round((numberAt(object, 'duration') ?? 0) * 1e6),
    stepUs: 1,
    method,
    target: asBytes(target),
    host: textAt(request, 'host'),
    fields,
    hasAllFields: true,
    hasCredentials: !isRedacted,
    // client_ip is what its own trusted_proxies make of it; older versions have remote_ip or remote_addr alone.
    address: textAt(request, 'client_ip') ?? textAt(request, 'remote_ip') ?? textAt(request, 'remote_addr'),
    forwardedFor: null,
  }
}

/** Seconds since the epoch, or what `time_format` makes of it. */
function timeOf(object: JsonObject): number | null {
  const seconds = numberAt(object, 'ts')
  if (seconds !== null) return Math.round(seconds * 1e6)
  const text = textAt(object, 'ts')
  return text === null ? null : readIsoTime(text)
}

function fieldsOf(headers: JsonObject): { readonly fields: string[]; readonly isRedacted: boolean } {
  const fields: string[] = []
  let isRedacted = false
  for (const name of Object.keys(headers)) {
    const values = headers[name]
    for (const value of Array.isArray(values) ? values : [values]) {
      if (typeof value !== 'string') continue
      // One value for everybody would make one client of all who bear any.
      if (isHidden(value)) isRedacted = true
      else fields.push(asBytes(name).toLowerCase(), asBytes(value))
    }
  }
  return { fields, isRedacted }
}
