import type { RequestOutcome } from '../../metrics/metrics.ts'
import type { EvidenceFields } from '../../proxy/evidence-fields.ts'
import { type Line, OTHER, START } from '../line.ts'
import { type JsonObject, numberAt, objectAt, textAt } from './json-fields.ts'
import { readIsoTime } from './log-time.ts'
import { type JsonReader, lacks } from './reader.ts'

const OUTCOMES: readonly string[] = ['forwarded', 'limited', 'denied', 'exempt', 'error', 'aborted']
const VERDICTS: readonly string[] = ['limited', 'missing', 'unavailable']
const PSEUDONYM = /^[\w-]{22}$/

/** Reads our own lines: those of requests, and that a proxy began. */
export const sluice: JsonReader = {
  format: 'sluice',
  keys: ['level', 'time', 'msg', 'request_id'],
  recognises: ({ level, time, msg }) =>
    typeof level === 'number' && typeof time === 'string' && typeof msg === 'string',
  read: readSluice,
}

function readSluice(object: JsonObject): Line {
  if (object.msg === 'listening') return START
  if (object.msg !== 'request') return OTHER
  const endUs = readIsoTime(object.time as string)
  const requestId = textAt(object, 'request_id')
  const outcome = textAt(object, 'outcome')
  if (endUs === null) return lacks('sluice', "'time' is not a time as 2016-04-15T20:17:00.310Z")
  if (requestId === null || outcome === null || !OUTCOMES.includes(outcome)) {
    return lacks('sluice', "'request_id' or 'outcome' is not as Sluice writes it")
  }
  const evidence = object.decision === undefined ? null : wholeEvidence(object)
  if (evidence === undefined) return lacks('sluice', 'what the decision was taken on is not as Sluice writes it')
  return {
    kind: 'own',
    format: 'sluice',
    timeUs: endUs - Math.round((numberAt(object, 'duration_ms') ?? 0) * 1000),
    requestId,
    outcome: outcome as RequestOutcome,
    deniedBy: textAt(object, 'denied_by'),
    method: textAt(object, 'method') ?? '',
    host: textAt(object, 'host'),
    path: textAt(object, 'path'),
    policy: textAt(object, 'policy'),
    evidence,
  }
}

/** What the decision was taken on; undefined where a part of it is not what we write. */
function wholeEvidence(object: JsonObject): EvidenceFields | undefined {
  const { limits, network, parents = [], factors, max_devices: maxDevices, token } = object
  const isWhole =
    isCount(object.decision) &&
    isCount(object.clock_us) &&
    isListOf(limits, (name) => typeof name === 'string') &&
    (object.verdict === undefined || VERDICTS.includes(object.verdict as string)) &&
    isPseudonym(network) &&
    isPseudonym(object.class) &&
    isListOf(parents, isPseudonym) &&
    (factors === undefined || (isListOf(factors, isCount) && (factors as []).length === (parents as []).length)) &&
    (maxDevices === undefined || isCount(maxDevices)) &&
    (token === undefined || isPseudonym(token)) &&
    isKeys(object) &&
    isPrincipal(object) &&
    isDevice(object)
  return isWhole ? (object as unknown as EvidenceFields) : undefined
}

function isKeys({ keys, missing = [] }: JsonObject): boolean {
  if (!isListOf(missing, (name) => typeof name === 'string')) return false
  return keys === undefined || (typeof keys === 'object' && keys !== null && Object.values(keys).every(isPseudonym))
}

function isPrincipal(object: JsonObject): boolean {
  if (object.principal === undefined) return true
  const principal = objectAt(object, 'principal')
  return isPseudonym(principal?.id) && (principal?.enrolment === 'controlled' || principal?.enrolment === 'open')
}

function isDevice(object: JsonObject): boolean {
  if (object.device === undefined) return true
  const device = objectAt(object, 'device')
  if (device === null) return false
  return (
    isPseudonym(device.id) &&
    typeof device.age_ms === 'number' &&
    isCount(device.grade) &&
    typeof device.home === 'boolean'
  )
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isPseudonym(value: unknown): value is string {
  return typeof value === 'string' && PSEUDONYM.test(value)
}

function isListOf(value: unknown, is: (member: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is)
}
