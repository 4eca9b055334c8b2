import type { ServerResponse } from 'node:http'
import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { isFinished } from './job.ts'
import type { JobRecords } from './job-records.ts'
import { readPage, respondPage } from './paging.ts'
import { problem } from './problem.ts'
import { disconnectSignal, streamResponse } from './stream-response.ts'
import { pause, type Timers } from './timers.ts'

/** What the routes of jobs stand on. */
export type JobRoutesOptions = {
  readonly records: JobRecords
  readonly timers: Timers
  /** Ends the streams. */
  readonly closing: AbortSignal
}

/** A job is looked at so often while somebody follows it: its worker may be another process. */
const LOOK_MS = 200
/** A comment at least so often, so that no proxy takes the stream for dead. */
const QUIET_MS = 15_000

/** `GET /jobs`, `GET /jobs/:id`, and `GET /jobs/:id/events`: each change of a job as a Server-Sent Event. */
export function jobRoutes(app: Hono<DemoEnv>, { records, timers, closing }: JobRoutesOptions): void {
  app.get('/jobs', async (c) => {
    const page = readPage(c)
    return page instanceof Response ? page : respondPage(c, 'jobs', page, await records.page(page))
  })

  app.get('/jobs/:id', async (c) => {
    const job = await records.get(c.req.param('id'))
    return job === undefined ? unknownJob() : c.json(job, 200, { 'Cache-Control': 'private, max-age=0' })
  })

  app.get('/jobs/:id/events', async (c) => {
    const id = c.req.param('id')
    if ((await records.get(id)) === undefined) return unknownJob()
    return streamResponse(c, async ({ env }) => {
      env.outgoing.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      env.outgoing.flushHeaders()
      if (c.req.method === 'GET') await follow(env.outgoing, id)
      env.outgoing.end()
    })
  })

  /** The job as it is, then whenever it has changed, until it is finished or the client is gone. */
  async function follow(outgoing: ServerResponse, id: string): Promise<void> {
    const stop = disconnectSignal(outgoing, closing)
    let last = ''
    let quietMs = 0
    do {
      const job = await records.get(id)
      // Finished and dropped meanwhile.
      if (job === undefined) return
      const text = JSON.stringify(job)
      quietMs = text === last ? quietMs + LOOK_MS : 0
      // A reader that is slower than the job misses states between; what it has not read yet does not pile up here.
      if (!outgoing.writableNeedDrain || isFinished(job)) {
        if (text !== last) outgoing.write(`event: job\ndata: ${text}\n\n`)
        else if (quietMs % QUIET_MS === 0) outgoing.write(': still here\n\n')
        last = text
      }
      if (isFinished(job)) return
    } while (await pause(timers, LOOK_MS, stop))
  }
}

function unknownJob(): Response {
  return problem(404, { detail: 'There is no job of this id, or it finished long ago.' })
}
