/** A trusted peer's request id, where it is one that may stand in a log line and a field. */
export function readRequestId(field: string | string[] | undefined): string | null {
  return typeof field === 'string' && /^[\w\-.:+/=]{1,128}$/.test(field) ? field : null
}

/** The trace id of a traceparent field (W3C Trace Context). */
export function readTraceId(field: string | string[] | undefined): string | null {
  if (typeof field !== 'string') return null
  return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(field)?.[1] ?? null
}
