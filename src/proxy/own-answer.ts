import { type ServerResponse, STATUS_CODES } from 'node:http'
import { PROBLEM_TYPE, type Problem, problemBody } from '../http/problem.ts'
import { endInOneWrite, writeThisTurn } from './write-turn.ts'

export type OwnAnswer = {
  readonly problem: Problem
  /** Further fields, names and values in turn. */
  readonly fields?: readonly string[]
  /** Replaces the problem document. */
  readonly body?: { readonly text: string; readonly type: string } | null
}

export type OwnAnswerContext = {
  readonly method: string
  readonly requestId: string
  /** Names and values in turn, so that a page of another origin may read the answer. */
  readonly cors: readonly string[]
  /** The client may still be sending a body that nobody will read: close, so that it is not taken for the next request. */
  readonly close: boolean
  /** Nothing more of the request is to come, so that the answer can go out with the others of this turn. */
  readonly isReadWhole: boolean
}

/** Answers in Sluice's own name: a problem document that no cache keeps. Does nothing when an answer has begun. */
export function sendOwnAnswer(response: ServerResponse, answer: OwnAnswer, context: OwnAnswerContext): void {
  if (response.headersSent || response.destroyed) return
  const { problem, fields = [], body } = answer
  const text = body?.text ?? problemBody(problem, context.requestId)
  const length = Buffer.byteLength(text)
  // The phrase is given so that none is left of an upstream's answer that could not be sent.
  response.writeHead(problem.status, STATUS_CODES[problem.status] ?? '', [
    'Content-Type',
    body?.type ?? PROBLEM_TYPE,
    'Content-Length',
    String(length),
    'Cache-Control',
    'no-store',
    'X-Request-Id',
    context.requestId,
    ...fields,
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
