import type { Hono } from 'hono'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { DemoEnv } from './hono-env.ts'
import type { Depth, Queue } from './queue/queue.ts'

/** What a worker tells of its jobs. */
export type JobMetrics = {
  /** An attempt is over. `seconds` is what it took. */
  attempted(outcome: AttemptOutcome, seconds: number): void
  /** A job is done or dead, so many seconds after it was accepted. */
  finished(state: 'done' | 'dead', seconds: number): void
}

/** `stopped`: the worker was told to end, and gave the job back. */
export type AttemptOutcome = 'succeeded' | 'failed' | 'aborted'

/** The metrics of one process of the demo. */
export type DemoMetrics = { readonly jobs: JobMetrics; text(): Promise<string> }

const OUTCOMES: readonly AttemptOutcome[] = ['succeeded', 'failed', 'aborted']
const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

/** Every metric of the demo, declared once. The depth is asked for when it is read; while the queue is away it is left out. */
export function createDemoMetrics(queue: Pick<Queue, 'depth'>): DemoMetrics {
  const registry = new Registry()
  const registers = [registry]
  const depth = new Gauge({
    name: 'demo_queue_depth',
    help: 'Messages in the queue, by state: ready, delayed, reserved, buried.',
    labelNames: ['state'],
    registers,
  })
  const attempts = new Counter({
    name: 'demo_job_attempts_total',
    help: 'Attempts at jobs by this process, by outcome: acted, failed, stopped.',
    labelNames: ['outcome'],
    registers,
  })
  const attemptSeconds = new Histogram({
    name: 'demo_job_attempt_duration_seconds',
    help: 'Time that one attempt took.',
    buckets: SECONDS,
    registers,
  })
  const jobSeconds = new Histogram({
    name: 'demo_job_duration_seconds',
    help: 'Time from the acceptance of a job to its end.',
    buckets: SECONDS,
    registers,
  })
  const dead = new Counter({
    name: 'demo_jobs_dead_total',
    help: 'Jobs that this process gave up after their last attempt.',
    registers,
  })
  for (const outcome of OUTCOMES) attempts.inc({ outcome }, 0)

  async function readDepth(): Promise<void> {
    try {
      const found: Depth = await queue.depth()
      for (const [state, count] of Object.entries(found)) depth.set({ state }, count)
    } catch {
      depth.reset()
    }
  }

  return {
    jobs: {
      attempted(outcome, seconds) {
        attempts.inc({ outcome })
        attemptSeconds.observe(seconds)
      },
      finished(state, seconds) {
        jobSeconds.observe(seconds)
        if (state === 'dead') dead.inc()
      },
    },
    async text() {
      await readDepth()
      return registry.metrics()
    },
  }
}

/** `GET /metrics`, for Prometheus. */
export function metricsRoutes(app: Hono<DemoEnv>, metrics: Pick<DemoMetrics, 'text'>): void {
  app.get('/metrics', async (c) => {
    return c.text(await metrics.text(), 200, {
      'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
      'Cache-Control': 'no-store',
    })
  })
}
