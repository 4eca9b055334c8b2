import { STATUS_CODES } from 'node:http'
import { PROBLEM_TYPES, type ProblemName } from './problem-types.ts'

/** One thing wrong in a body: where, as a JSON Pointer in URI fragment form (RFC 6901 section 6), and what. */
export type BodyError = { readonly pointer: string; readonly detail: string }

/** What a problem says beyond its status. `type` is left out where the status says it all (`about:blank`). */
export type ProblemDetails = {
  readonly type?: ProblemName
  readonly detail: string
  readonly errors?: readonly BodyError[]
}

/** The media type of every error the demo answers with. */
export const PROBLEM_TYPE = 'application/problem+json'

/** A problem's JSON text (RFC 9457), and nothing in it but what is passed: never a stack, never another user's data. */
export function problemText(status: number, { type, detail, errors }: ProblemDetails): string {
  const title = type === undefined ? (STATUS_CODES[status] ?? 'Error') : PROBLEM_TYPES[type].title
  const link = type === undefined ? 'about:blank' : `/problems/${type}`
  return JSON.stringify({ type: link, title, status, detail, ...(errors && { errors }) })
}

/** A problem as the answer to a request, not to be cached. */
export function problem(
  status: number,
  details: ProblemDetails,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(problemText(status, details), {
    status,
    headers: { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store', ...headers },
  })
}
