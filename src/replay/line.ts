import type { RequestOutcome } from '../metrics/metrics.ts'
import type { EvidenceFields } from '../proxy/evidence-fields.ts'

/** The formats that are read. Traefik's common format is read as `combined`, which it extends. */
export const FORMATS = ['combined', 'caddy', 'traefik', 'envoy', 'sluice'] as const
export type Format = (typeof FORMATS)[number]

/** A request as another proxy's access log tells of it. Texts are latin1, a character a byte, as node has header fields. */
export type LoggedRequest = {
  readonly kind: 'request'
  readonly format: Format
  /** Microseconds since the epoch, and how finely the log tells it. */
  readonly timeUs: number
  readonly stepUs: number
  readonly method: string
  /** As it stood in the request line. */
  readonly target: string
  /** Null where the log does not tell. */
  readonly host: string | null
  /** Field names (lower case) and values in turn, as far as the log tells them. */
  readonly fields: readonly string[]
  /** Whether those are all but for what is hidden; else the log names a few of them. */
  readonly hasAllFields: boolean
  /** Whether the log tells of tokens, keys and cookies; else nobody knows whether there were any. */
  readonly hasCredentials: boolean
  /** What the log gives for the client: an address, or the host name that it was resolved to. */
  readonly address: string | null
  /** What X-Forwarded-For said, where the log tells it apart from the address. */
  readonly forwardedFor: string | null
}

/** A request as our own access line tells of it. */
export type OwnRequest = {
  readonly kind: 'own'
  readonly format: 'sluice'
  readonly timeUs: number
  readonly requestId: string
  readonly outcome: RequestOutcome
  readonly deniedBy: string | null
  readonly method: string
  /** Where `log.path` says so. */
  readonly host: string | null
  readonly path: string | null
  /** The hash of the policy it was decided under, and what it was decided on; null where no limit applied. */
  readonly policy: string | null
  readonly evidence: EvidenceFields | null
}

/** A line that a reader cannot read. */
export type Unreadable = {
  readonly kind: 'unreadable'
  /** The format whose reader came nearest; null where the line is like none. */
  readonly format: Format | null
  /** How much of the format was found, between 0 and 1. */
  readonly found: number
  /** Where that reader stopped, and what it expected there. */
  readonly reason: string
}

/**
 * What a line is. `start`: a proxy of ours began, with nothing in memory. `other`: one that tells of no request. `noRequest`: the
 * log tells of a connection on which no request could be read. `unreadable`: none of the known formats.
 */
export type Line =
  | LoggedRequest
  | OwnRequest
  | { readonly kind: 'start' | 'other' }
  | { readonly kind: 'noRequest'; readonly reason: string }
  | Unreadable

export const START: Line = { kind: 'start' }
export const OTHER: Line = { kind: 'other' }
