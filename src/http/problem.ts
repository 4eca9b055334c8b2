import { STATUS_CODES } from 'node:http'

/** A problem document (RFC 9457). */
export type Problem = {
  readonly type?: string
  readonly title?: string
  readonly status: number
  readonly detail: string
  /** The names of the limits that refused. */
  readonly 'violated-policies'?: readonly string[]
}

export const PROBLEM_TYPE = 'application/problem+json'

/** The type of a refusal by a limit, as registered for draft-ietf-httpapi-ratelimit-headers-11. */
export const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded'

/**
 * A problem document as text, with the id of the request where it is known; without a type of its own it is `about:blank`, whose
 * title is the status's phrase.
 */
export function problemBody(problem: Problem, requestId?: string): string {
  const { type = 'about:blank', title, status, detail } = problem
  return JSON.stringify({
    type,
    title: title ?? STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    'violated-policies': problem['violated-policies'],
    request_id: requestId,
  })
}
