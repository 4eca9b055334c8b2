import type { Policy } from '../policy/types.ts'
import type { Format, LoggedRequest, OwnRequest } from './line.ts'

/** What the lines told, counted over all requests: what they did not tell follows from it. */
export type Knowledge = {
  readonly formats: Map<Format, number>
  /** Requests of other proxies' logs, and of these those with an address, a host, a User-Agent, languages, all fields, credentials. */
  requests: number
  address: number
  host: number
  userAgent: number
  languages: number
  allFields: number
  credentials: number
  /** Those that may be a browser's preflights. */
  options: number
  /** The coarsest step of their times, in microseconds. */
  stepUs: number
  /** The network that most requests come from, if any has most (the vote of Boyer and Moore), and how many at least. */
  readonly majority: { network: string; lead: number; requests: number }
  /** Requests of our own log, and of these those decided under another policy; those with a path. */
  own: number
  otherPolicy: number
  paths: number
}

export function createKnowledge(): Knowledge {
  return {
    formats: new Map(),
    requests: 0,
    address: 0,
    host: 0,
    userAgent: 0,
    languages: 0,
    allFields: 0,
    credentials: 0,
    options: 0,
    stepUs: 0,
    majority: { network: '', lead: 0, requests: 0 },
    own: 0,
    otherPolicy: 0,
    paths: 0,
  }
}

export function noteRequest(knowledge: Knowledge, request: LoggedRequest): void {
  const { format, fields, method, stepUs } = request
  knowledge.formats.set(format, (knowledge.formats.get(format) ?? 0) + 1)
  knowledge.requests++
  if (request.address !== null || request.forwardedFor !== null) knowledge.address++
  if (request.host !== null) knowledge.host++
  if (has(fields, 'user-agent')) knowledge.userAgent++
  if (has(fields, 'accept-language')) knowledge.languages++
  if (request.hasAllFields) knowledge.allFields++
  if (request.hasCredentials) knowledge.credentials++
  if (method === 'OPTIONS') knowledge.options++
  knowledge.stepUs = Math.max(knowledge.stepUs, stepUs)
}

export function noteNetwork({ majority }: Knowledge, network: string): void {
  if (network === majority.network) {
    majority.lead++
    majority.requests++
  } else if (majority.lead > 0) majority.lead--
  else Object.assign(majority, { network, lead: 1, requests: 1 })
}

export function noteOwn(knowledge: Knowledge, { format, policy, path }: OwnRequest, replayed: Policy): void {
  knowledge.formats.set(format, (knowledge.formats.get(format) ?? 0) + 1)
  knowledge.own++
  if (policy !== null && policy !== replayed.hash) knowledge.otherPolicy++
  if (path !== null) knowledge.paths++
}

function has(fields: readonly string[], name: string): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return true
  return false
}
