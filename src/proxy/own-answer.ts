import { type ServerResponse, STATUS_CODES } from 'node:http'
import { PROBLEM_TYPE, type Problem, problemBody } from '../http/problem.ts'
import { refusalPage } from './refusal-page.ts'
import { endInOneWrite, writeThisTurn } from './write-turn.ts'

export type OwnAnswer = {
  readonly problem: Problem
  /** Further fields, names and values in turn. */
  readonly fields?: readonly string[]
  /** Replaces the problem document, and the page. */
  readonly body?: { readonly text: string; readonly type: string } | null
}

export type OwnAnswerContext = {
  readonly method: string
  readonly requestId: string
  /** Whether the client wants a page rather than a problem document. */
  readonly prefersHtml: boolean
  /** Names and values in turn, so that a page of another origin may read the answer. */
  readonly cors: readonly string[]
  /** The client may still be sending a body that nobody will read: close, so that it is not taken for the next request. */
  readonly close: boolean
  /** Nothing more of the request is to come, so that the answer can go out with the others of this turn. */
  readonly isReadWhole: boolean
}

/** Answers in Sluice's own name: a problem document, or a page, that no cache keeps. Does nothing when an answer has begun. */
export function sendOwnAnswer(response: ServerResponse, answer: OwnAnswer, context: OwnAnswerContext): void {
  if (response.headersSent || response.destroyed) return
  const { problem, fields = [] } = answer
  const { text, type, more } = answer.body ? { ...answer.body, more: [] } : represent(answer, context)
  const length = Buffer.byteLength(text)
  // The phrase is given so that none is left of an upstream's answer that could not be sent.
  response.writeHead(problem.status, STATUS_CODES[problem.status] ?? '', [
    'Content-Type',
    type,
    'Content-Length',
    String(length),
    'Cache-Control',
    'no-store',
    'X-Request-Id',
    context.requestId,
    ...fields,
    ...more,
    ...context.cors,
    ...(context.close ? ['Connection', 'close'] : []),
  ])
  function end(): void {
    if (context.method === 'HEAD') response.end()
    // One byte a character.
    else if (length === text.length) endInOneWrite(response, text)
    else response.end(text)
  }
  if (context.isReadWhole) writeThisTurn({ write: end })
  else end()
}

const VARY = ['Vary', 'Accept']

/** The document that is sent where the policy has none of its own. */
function represent({ problem, fields = [] }: OwnAnswer, { prefersHtml, requestId }: OwnAnswerContext) {
  if (!prefersHtml) return { text: problemBody(problem, requestId), type: PROBLEM_TYPE, more: VARY }
  const at = fields.indexOf('Retry-After')
  const page = refusalPage(problem, requestId, at === -1 ? null : Number(fields[at + 1]))
  return { text: page.text, type: 'text/html; charset=utf-8', more: [...page.fields, ...VARY] }
}
