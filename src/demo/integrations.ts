import type { Context, Hono } from 'hono'
import { type JsonObject, readJsonObject } from './body.ts'
import type { DemoEnv } from './hono-env.ts'
import { readIdempotencyKey, respondOnce } from './idempotency.ts'
import type { IdempotencyKeys, StoredResponse } from './idempotency-keys.ts'
import type { Integration, Job } from './job.ts'
import type { JobRecords } from './job-records.ts'
import type { Jobs } from './jobs.ts'
import { problem } from './problem.ts'
import { disconnectSignal } from './stream-response.ts'
import type { ThirdParty } from './third-party.ts'

/** What the routes of integrations stand on. */
export type IntegrationOptions = {
  readonly jobs: Jobs
  readonly records: JobRecords
  readonly keys: IdempotencyKeys
  readonly thirdParty: ThirdParty
  readonly newId: () => string
}

/** What came of a request, and what its repeats get. */
type Outcome = { readonly response: Response; readonly kept?: StoredResponse }

/** Smaller than elsewhere: a full queue holds ten thousand of these. */
const MAX_BODY_BYTES = 8 * 1024
const PARTNER = /^[a-z0-9][a-z0-9_-]{0,63}$/
const RETRY_AFTER_SECONDS = '1'
const QUEUE_FULL_RETRY_AFTER_SECONDS = '10'

/**
 * `POST /integrations`: what takes long is answered 202 at once, with a place to look (RFC 9110 section 15.3.3).
 * `?wait=1` calls the third party within the request instead, to be compared. With an Idempotency-Key, once.
 */
export function integrationRoutes(app: Hono<DemoEnv>, options: IntegrationOptions): void {
  const { jobs, records, keys, thirdParty, newId } = options

  app.post('/integrations', async (c) => {
    const wait = c.req.query('wait') ?? '0'
    if (wait !== '0' && wait !== '1') {
      return problem(422, { type: 'invalid-query', detail: `wait: '${wait.slice(0, 40)}' is neither 0 nor 1` })
    }
    const key = readIdempotencyKey(c.req.header('idempotency-key'))
    if (key instanceof Response) return key
    const body = await readJsonObject(c, MAX_BODY_BYTES)
    if (body instanceof Response) return body
    const integration = readIntegration(body)
    if (integration instanceof Response) return integration
    const first = (id: string) => (wait === '1' ? callNow(c, integration, id) : queue(integration, id))
    if (key === undefined) return (await first(newId())).response
    return respondOnce(keys, key, {
      request: [wait, integration.partner, integration.payload],
      first,
      again: async (kept) =>
        kept.kind === 'waited' ? Response.json(kept.body) : answerAgain(await records.get(kept.id), kept.id),
    })
  })

  async function queue(integration: Integration, id: string): Promise<Outcome> {
    const job = await jobs.submit(integration, id)
    if (job !== undefined) return { response: accepted(job), kept: { kind: 'job', id } }
    const details = { type: 'queue-full', detail: 'The queue is full; nothing was queued.' } as const
    return { response: problem(503, details, { 'retry-after': QUEUE_FULL_RETRY_AFTER_SECONDS }) }
  }

  async function callNow(c: Context<DemoEnv>, integration: Integration, id: string): Promise<Outcome> {
    const outcome = await thirdParty.call(id, integration, disconnectSignal(c.env.outgoing))
    if (outcome.kind === 'succeeded') {
      const body = { state: 'done', result: outcome.result }
      return { response: Response.json(body), kept: { kind: 'waited', body } }
    }
    const detail = outcome.kind === 'failed' ? outcome.error : 'the client went away'
    return { response: problem(502, { type: 'third-party-failed', detail }) }
  }
}

function accepted(job: Job): Response {
  const headers = { Location: `/jobs/${job.id}`, 'Retry-After': RETRY_AFTER_SECONDS }
  return Response.json(job, { status: 202, headers })
}

function answerAgain(job: Job | undefined, id: string): Response {
  if (job !== undefined) return accepted(job)
  return problem(410, { detail: `The job ${id} finished long ago, and is not kept any more.` })
}

function readIntegration({ partner, payload = null }: JsonObject): Integration | Response {
  if (typeof partner === 'string' && PARTNER.test(partner)) return { partner, payload }
  const detail =
    partner === undefined
      ? 'Is missing; write "partner": "acme".'
      : 'Write 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit.'
  return problem(422, {
    type: 'invalid-body',
    detail: 'The integration breaks a rule.',
    errors: [{ pointer: '#/partner', detail }],
  })
}
