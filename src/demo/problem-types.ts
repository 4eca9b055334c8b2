/** What each of the demo's own problem types means; `GET /problems/<name>` shows it. */
export const PROBLEM_TYPES = {
  'email-taken': {
    title: 'The email is taken',
    meaning:
      'Another user has this email. The request was understood and is well formed; it conflicts with what exists (RFC 9110 section 15.5.10), so sending it again will not help. Nothing about the other user is told.',
  },
  'invalid-body': {
    title: 'The body is not acceptable',
    meaning: 'The JSON was read, but a value in it breaks a rule. "errors" lists each by its JSON Pointer.',
  },
  'invalid-query': {
    title: 'The query is not acceptable',
    meaning: 'A query parameter breaks a rule; "detail" gives the value, the rule and the fix.',
  },
  'users-full': {
    title: 'There is no room for more users',
    meaning: 'The demo keeps a bounded number of users, so that it cannot be filled for ever. Restart it to empty it.',
  },
  'queue-full': {
    title: 'The queue is full',
    meaning:
      'Jobs come in faster than the third party takes them. Nothing was queued; ask again after Retry-After seconds.',
  },
  away: {
    title: 'The queue or the storage is away',
    meaning:
      'What keeps the work or the data does not answer. Nothing was accepted; ask again after Retry-After seconds, with the same Idempotency-Key if you sent one.',
  },
  'user-changed': {
    title: 'The user has changed',
    meaning:
      'The user is not any more as it was when you read it: If-Match does not name its ETag (RFC 9110 section 13.1.1). Read it again, and decide anew.',
  },
  'if-match-missing': {
    title: 'Say which state you want to replace',
    meaning:
      'A user is replaced only as it was read: send its ETag as If-Match, so that nobody undoes what another has done (RFC 6585 section 3).',
  },
  'idempotency-key': {
    title: 'The Idempotency-Key is not acceptable',
    meaning:
      'Idempotency-Key is one text in quotes of 1 to 255 characters (RFC 9651, String): Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324".',
  },
  'idempotency-key-reused': {
    title: 'The Idempotency-Key was used for another request',
    meaning:
      'The key names one request, for a day. Another integration, or the same with another ?wait, needs a new key.',
  },
  'idempotency-key-in-use': {
    title: 'The first request of this Idempotency-Key is still under way',
    meaning: 'Ask again after Retry-After seconds: then you get what that request got.',
  },
  'third-party-failed': {
    title: 'The third party failed',
    meaning:
      'The third party was called within the request (?wait=1) and failed. Without ?wait=1 a queued job would have retried.',
  },
} as const satisfies Record<string, { readonly title: string; readonly meaning: string }>

/** The closed list of problem types. */
export type ProblemName = keyof typeof PROBLEM_TYPES

/** Whether the demo has a problem type of this name. */
export function isProblemName(name: string): name is ProblemName {
  return Object.hasOwn(PROBLEM_TYPES, name)
}
