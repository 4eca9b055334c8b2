import type { Hono } from 'hono'
import { type JsonObject, readJsonObject } from './body.ts'
import type { DemoEnv } from './env.ts'
import type { Integration } from './job.ts'
import type { JobRecords } from './job-records.ts'
import type { Jobs } from './jobs.ts'
import { answerPage, readPage } from './paging.ts'
import { problem } from './problem.ts'
import { goneSignal } from './raw.ts'
import type { ThirdParty } from './third-party.ts'

/** What the routes of integrations and jobs stand on. */
export type IntegrationOptions = {
  readonly jobs: Jobs
  readonly records: JobRecords
  readonly thirdParty: ThirdParty
  readonly newId: () => string
}

/** Smaller than elsewhere: a full queue holds ten thousand of these. */
const MAX_BODY_BYTES = 8 * 1024
const PARTNER = /^[a-z0-9][a-z0-9_-]{0,63}$/
const RETRY_AFTER_SECONDS = '1'
const QUEUE_FULL_RETRY_AFTER_SECONDS = '10'

/**
 * `/integrations` and `/jobs`: what takes long is answered 202 at once, with a place to look (RFC 9110 section 15.3.3).
 * `?wait=1` calls the third party within the request instead, to be compared.
 */
export function integrationRoutes(app: Hono<DemoEnv>, { jobs, records, thirdParty, newId }: IntegrationOptions): void {
  app.post('/integrations', async (c) => {
    const wait = c.req.query('wait') ?? '0'
    if (wait !== '0' && wait !== '1') {
      return problem(422, { type: 'invalid-query', detail: `wait: '${wait.slice(0, 40)}' is neither 0 nor 1` })
    }
    const body = await readJsonObject(c, MAX_BODY_BYTES)
    if (body instanceof Response) return body
    const integration = readIntegration(body)
    if (integration instanceof Response) return integration
    if (wait === '1') return answerWith(await thirdParty.call(newId(), integration, goneSignal(c.env.outgoing)))
    const job = await jobs.submit(integration)
    if (job === undefined) {
      const details = { type: 'queue-full', detail: 'The queue is full; nothing was queued.' } as const
      return problem(503, details, { 'retry-after': QUEUE_FULL_RETRY_AFTER_SECONDS })
    }
    return c.json(job, 202, { Location: `/jobs/${job.id}`, 'Retry-After': RETRY_AFTER_SECONDS })
  })

  app.get('/jobs', async (c) => {
    const page = readPage(c)
    return page instanceof Response ? page : answerPage(c, 'jobs', page, await records.page(page))
  })

  app.get('/jobs/:id', async (c) => {
    const job = await records.get(c.req.param('id'))
    if (job === undefined) return problem(404, { detail: 'There is no job of this id, or it finished long ago.' })
    return c.json(job, 200, { 'Cache-Control': 'private, max-age=0' })
  })
}

function answerWith(outcome: Awaited<ReturnType<ThirdParty['call']>>): Response {
  if (outcome.kind === 'acted') return Response.json({ state: 'done', result: outcome.result })
  const detail = outcome.kind === 'failed' ? outcome.error : 'the client went away'
  return problem(502, { type: 'third-party-failed', detail })
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
