import t from 'tap'
import { createDemoMetrics } from '../../src/demo/metrics.ts'
import { startDemo } from './demo-under-test.ts'

t.test('the depth, the attempts and what came of the jobs can be scraped', async (t) => {
  const demo = await startDemo(t, { concurrency: 1, thirdPartyFailures: 1, random: () => 0.5 })
  const { text: before, headers } = await demo.get('/metrics')
  t.match(headers.get('content-type'), 'text/plain; version=0.0.4')
  t.match(before, 'demo_job_attempts_total{outcome="failed"} 0')
  t.match(before, 'demo_jobs_dead_total 0')
  await demo.post('/integrations', { partner: 'a' })
  await demo.post('/integrations', { partner: 'b' })
  const { text: during } = await demo.get('/metrics')
  t.match(during, 'demo_queue_depth{state="reserved"} 1')
  t.match(during, 'demo_queue_depth{state="ready"} 1')
  await demo.timers.advance(300_000)
  const { text: after } = await demo.get('/metrics')
  t.match(after, 'demo_job_attempts_total{outcome="failed"} 10')
  t.match(after, 'demo_job_attempt_duration_seconds_sum 15')
  t.match(after, 'demo_jobs_dead_total 2')
  t.match(after, 'demo_job_duration_seconds_count 2')
  t.match(after, 'demo_queue_depth{state="buried"} 2')
  t.match(after, 'demo_queue_depth{state="reserved"} 0')
})

t.test('while the queue is away its depth is left out, and the rest is there', async (t) => {
  let isAway = false
  const depth = async () => {
    if (isAway) throw new Error('away')
    return { ready: 3, delayed: 0, reserved: 0, buried: 0 }
  }
  const metrics = createDemoMetrics({ depth })
  t.match(await metrics.text(), 'demo_queue_depth{state="ready"} 3')
  isAway = true
  t.notMatch(await metrics.text(), /^demo_queue_depth\{/m)
  t.match(await metrics.text(), 'demo_jobs_dead_total 0')
})
