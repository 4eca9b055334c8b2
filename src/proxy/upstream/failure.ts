/** Why the upstream gave no answer, as RFC 9209 (Proxy-Status) names it, with the status the client gets for it. */
export type ForwardFailure = {
  readonly status: 502 | 503 | 504
  readonly error: string
  readonly detail: string
  readonly cause: unknown
}

type Failure = readonly [502 | 504, string, string]

const NOT_HTTP: Failure = [502, 'http_protocol_error', "The upstream's answer is not HTTP."]
const TOO_LARGE: Failure = [502, 'http_response_header_section_size', "The upstream's header is too large."]
const TERMINATED: Failure = [502, 'connection_terminated', 'The upstream closed the connection before it answered.']
const REFUSED: Failure = [502, 'connection_refused', 'The upstream refuses connections.']
const NO_ADDRESS: Failure = [502, 'dns_error', "The upstream's name has no address."]
const NOT_ACCEPTED: Failure = [504, 'connection_timeout', 'The upstream did not accept a connection in time.']
const NO_ROUTE: Failure = [502, 'destination_ip_unroutable', 'There is no route to the upstream.']
const BAD_CERTIFICATE: Failure = [502, 'tls_certificate_error', "The upstream's certificate cannot be trusted."]
const BAD_TLS: Failure = [502, 'tls_protocol_error', 'The upstream and the proxy do not agree on TLS.']
const TLS_ALERT: Failure = [502, 'tls_alert_received', 'The upstream ended the TLS connection with an alert.']
const UNREACHABLE: Failure = [502, 'destination_unavailable', 'The upstream cannot be reached.']

/** What goes wrong on a connection by our own judgement, not by the system's. */
const FAULTS = {
  malformed: NOT_HTTP,
  too_large: TOO_LARGE,
  // RFC 9209 has no word of its own for an upstream that leaves HTTP; after it nothing can be answered.
  switched: [502, 'connection_terminated', 'The upstream switched protocols unasked.'],
  terminated: TERMINATED,
  incomplete: [502, 'http_response_incomplete', 'The upstream broke off in the middle of its answer.'],
  connect_timeout: NOT_ACCEPTED,
  write_timeout: [504, 'connection_write_timeout', 'The upstream did not take the request in time.'],
  response_timeout: [504, 'http_response_timeout', 'The upstream did not answer in time.'],
  body_timeout: [504, 'http_response_incomplete', 'The upstream stopped in the middle of its answer.'],
} satisfies Record<string, Failure>

export type Fault = keyof typeof FAULTS

/** The keys of the policy that a fault depends on, for the log. */
const KEYS: Partial<Record<Fault, string>> = {
  too_large: 'upstream.max_header_bytes, upstream.max_headers',
  connect_timeout: 'upstream.connect_timeout',
  write_timeout: 'upstream.idle_timeout',
  response_timeout: 'upstream.response_timeout',
  body_timeout: 'upstream.idle_timeout',
}

/** The system's codes, and those of OpenSSL that Node passes on. */
const CODES: Record<string, Failure> = {
  ECONNREFUSED: REFUSED,
  ENOTFOUND: NO_ADDRESS,
  EAI_AGAIN: [502, 'dns_error', "The upstream's name could not be looked up."],
  ECONNRESET: TERMINATED,
  EPIPE: TERMINATED,
  ETIMEDOUT: NOT_ACCEPTED,
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  EPROTO: BAD_TLS,
  HPE_HEADER_OVERFLOW: TOO_LARGE,
}

/** OpenSSL's reasons to reject a certificate; the rest of them begin with CERT_ or UNABLE_TO_. */
const CERTIFICATE =
  /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_(?:CA|PURPOSE)$|HOSTNAME_MISMATCH$)/

/** What a fault of ours comes to. */
export function faultFailure(fault: Fault, cause: unknown = KEYS[fault] ?? fault): ForwardFailure {
  return toFailure(FAULTS[fault], cause)
}

/** What an error of a connection to the upstream comes to. */
export function failureOf(cause: Error & { readonly code?: string }): ForwardFailure {
  const { code = '' } = cause
  return toFailure(CODES[code] ?? byPrefix(code) ?? UNREACHABLE, cause)
}

function byPrefix(code: string): Failure | undefined {
  if (CERTIFICATE.test(code)) return BAD_CERTIFICATE
  if (/^ERR_SSL_.*_ALERT_/.test(code)) return TLS_ALERT
  if (/^ERR_(?:SSL|TLS)_/.test(code)) return BAD_TLS
  // Node's own parser reads the answers to upgrades.
  return code.startsWith('HPE_') ? NOT_HTTP : undefined
}

function toFailure([status, error, detail]: Failure, cause: unknown): ForwardFailure {
  return { status, error, detail, cause }
}
