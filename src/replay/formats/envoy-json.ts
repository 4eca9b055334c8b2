import type { Line } from '../line.ts'
import { asBytes, type JsonObject, textAt } from './json-fields.ts'
import { readIsoTime } from './log-time.ts'
import { type JsonReader, lacks, noRequest } from './reader.ts'

/** The names of one value in the JSON of Envoy Gateway, and in that of Istio. */
const PATH = ['x-envoy-origin-path', ':path', 'path'] as const
const AUTHORITY = [':authority', 'authority'] as const
const USER_AGENT = ['user-agent', 'user_agent'] as const
const FORWARDED_FOR = ['x-forwarded-for', 'x_forwarded_for'] as const

/**
 * Reads Envoy's access log as JSON, as Envoy Gateway and Istio have it by default. The time is the request's start. The client is in
 * X-Forwarded-For, to which Envoy adds its peer; where a line has none, the client is the peer.
 */
export const envoyJson: JsonReader = {
  format: 'envoy',
  keys: ['start_time', 'method', 'response_code', 'downstream_remote_address'],
  recognises: (object) =>
    typeof object.start_time === 'string' && 'method' in object && ('response_code' in object || 'protocol' in object),
  read: readEnvoyJson,
}

function readEnvoyJson(object: JsonObject): Line {
  const timeUs = readIsoTime(object.start_time as string)
  if (timeUs === null) return lacks('envoy', "'start_time' is not a time as 2016-04-15T20:17:00.310Z")
  const method = textAt(object, 'method')
  const target = firstOf(object, PATH)
  if (method === null || method === '-') return noRequest("'method' is empty")
  if (target === null) return lacks('envoy', `is JSON without ${PATH.join(' or ')}`)
  const agent = firstOf(object, USER_AGENT)
  const forwardedFor = firstOf(object, FORWARDED_FOR)
  return {
    kind: 'request',
    format: 'envoy',
    timeUs,
    stepUs: 1000,
    method,
    target: asBytes(target),
    host: firstOf(object, AUTHORITY),
    fields: agent === null ? [] : ['user-agent', asBytes(agent)],
    hasAllFields: false,
    hasCredentials: false,
    address: forwardedFor === null ? textAt(object, 'downstream_remote_address') : null,
    forwardedFor,
  }
}

/** The first of the names that has a value; Envoy writes `-` or null where there is none. */
function firstOf(object: JsonObject, names: readonly string[]): string | null {
  for (const name of names) {
    const value = textAt(object, name)
    if (value !== null && value !== '-') return value
  }
  return null
}
