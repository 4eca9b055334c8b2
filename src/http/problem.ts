import { STATUS_CODES } from 'node:http'

/** A problem document (RFC 9457). */
export type Problem = {
  readonly type?: string
  readonly title?: string
  readonly status: number
  readonly detail: string
  readonly [member: string]: unknown
}

export const PROBLEM_TYPE = 'application/problem+json'

/** The type of a refusal by a limit, as registered for draft-ietf-httpapi-ratelimit-headers-11. */
export const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded'

/** A problem document as text; without a type of its own it is `about:blank`, whose title is the status's phrase. */
export function problemBody({ type, title, status, ...members }: Problem): string {
  return JSON.stringify({
    type: type ?? 'about:blank',
    title: title ?? STATUS_CODES[status] ?? 'Error',
    status,
    ...members,
  })
}
