import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { answer, isProblem } from '../demo/demo-under-test.ts'
import { startBeanstalkd } from '../fixtures/beanstalkd.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { startSqs } from '../fixtures/sqs.ts'
import { startThirdParty } from '../fixtures/third-party.ts'
import { run } from './process.ts'

/** The demo as a team would run it: the API, its workers, the queue and the third party, each a process of its own. */

const LEASE_MS = 2000

const backends: Record<string, (t: Test) => Promise<Record<string, string>>> = {
  async Redis(t) {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    return { DEMO_QUEUE_URL: redis.url }
  },
  async Beanstalkd(t) {
    const [redis, beanstalkd] = await Promise.all([startRedis(), startBeanstalkd()])
    t.teardown(() => Promise.all([redis.stop(), beanstalkd.stop()]))
    return { DEMO_QUEUE_URL: beanstalkd.url, DEMO_REDIS_URL: redis.url }
  },
  async SQS(t) {
    const [redis, sqs] = await Promise.all([startRedis(), startSqs()])
    t.teardown(() => Promise.all([redis.stop(), sqs.stop()]))
    const aws = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' }
    return { ...aws, DEMO_QUEUE_URL: sqs.createQueue(), DEMO_SQS_ENDPOINT: sqs.endpoint, DEMO_REDIS_URL: redis.url }
  },
}

for (const [name, start] of Object.entries(backends)) {
  t.test(
    `${name}: a worker killed in the middle of a job; another does it, and the third party acts once`,
    async (t) => {
      const thirdParty = await startThirdParty(1000)
      t.teardown(() => thirdParty.close())
      const env = {
        ...(await start(t)),
        DEMO_THIRD_PARTY_URL: thirdParty.url,
        DEMO_LEASE_MS: String(LEASE_MS),
        DEMO_PORT: '0',
        DEMO_CONCURRENCY: '0',
      }
      const [, url] = await run(t, 'demo/main.js', [], env).waitFor(/listens on (\S+)/)
      const first = run(t, 'demo/worker-main.js', [], { ...env, DEMO_CONCURRENCY: '5' })
      await first.waitFor(/takes jobs/)
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"partner":"acme"}' }
      const accepted = await answer(fetch(`${url}/integrations`, init))
      t.equal(accepted.status, 202)
      await until(() => thirdParty.asked.size === 1)
      t.match((await job()).json, { state: 'running', attempts: 1 })
      first.child.kill('SIGKILL')

      const second = run(t, 'demo/worker-main.js', [], env)
      await until(async () => (await job()).json.state === 'done')
      t.match((await job()).json, { attempts: 2, result: { reference: 'r-1' } })
      t.equal(thirdParty.acted(), 1)
      t.same([...thirdParty.asked], [[`"${accepted.json.id}"`, 2]])

      // One that is told to end gives its job back: it is not taken for an attempt, and not waited for.
      const other = await answer(fetch(`${url}/integrations`, init))
      await until(() => thirdParty.asked.size === 2)
      const ending = performance.now()
      second.child.kill('SIGTERM')
      t.equal(await second.ended, 0)
      t.ok(performance.now() - ending < 5000)
      const third = run(t, 'demo/worker-main.js', [], env)
      const path = `${url}${other.headers.get('location')}`
      await until(async () => (await answer(fetch(path))).json.state === 'done')
      t.match((await answer(fetch(path))).json, { attempts: 1 })
      t.equal(thirdParty.acted(), 2)
      third.child.kill('SIGTERM')
      t.equal(await third.ended, 0)

      function job() {
        return answer(fetch(`${url}${accepted.headers.get('location')}`))
      }
    },
  )
}

t.test('the queue goes, the API stays; the queue comes back, and what was accepted is done', async (t) => {
  const [redis, beanstalkd, thirdParty] = await Promise.all([startRedis(), startBeanstalkd(), startThirdParty(500)])
  t.teardown(() => Promise.all([redis.stop(), beanstalkd.stop(), thirdParty.close()]))
  const [, url] = await run(t, 'demo/main.js', [], {
    DEMO_PORT: '0',
    DEMO_QUEUE_URL: beanstalkd.url,
    DEMO_REDIS_URL: redis.url,
    DEMO_THIRD_PARTY_URL: thirdParty.url,
    DEMO_CONCURRENCY: '2',
  }).waitFor(/listens on (\S+)/)
  const post = (path: string, body: unknown) =>
    answer(
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    )
  const accepted = []
  for (let n = 0; n < 10; n++) accepted.push(await post('/integrations', { partner: 'acme', payload: n }))
  t.ok(accepted.every(({ status }) => status === 202))
  await beanstalkd.kill()
  const refused = await post('/integrations', { partner: 'acme' })
  isProblem(t, refused, 503, '/problems/away')
  t.match(refused.headers.get('retry-after'), /^[1-9]\d*$/)
  t.equal((await post('/users', { email: 'ann@example.com' })).status, 201)
  t.equal((await answer(fetch(`${url}/items`))).status, 200)
  t.equal((await answer(fetch(`${url}/jobs`))).json.total, 10, 'and nothing is left of what was refused')
  await beanstalkd.restart()
  await until(async () => {
    const { json } = await answer(fetch(`${url}/jobs`))
    return json.jobs.every(({ state }: { state: string }) => state === 'done')
  })
  t.equal(thirdParty.acted(), 10)
  await until(async () => (await post('/integrations', { partner: 'acme' })).status === 202)
})

t.test('a restart keeps users and jobs in a folder, and goes on with what was accepted', async (t) => {
  const thirdParty = await startThirdParty(1000)
  t.teardown(() => thirdParty.close())
  const env = {
    DEMO_PORT: '0',
    DEMO_DATA_DIR: t.testdir({}),
    DEMO_THIRD_PARTY_URL: thirdParty.url,
    DEMO_CONCURRENCY: '1',
  }
  const first = run(t, 'demo/main.js', [], env)
  const [, url] = await first.waitFor(/listens on (\S+)/)
  const send = (to: string, path: string, body: string) =>
    answer(fetch(to + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))
  t.equal((await send(url!, '/users', '{"email":"ann@example.com"}')).status, 201)
  const jobs = [
    await send(url!, '/integrations', '{"partner":"a"}'),
    await send(url!, '/integrations', '{"partner":"b"}'),
  ]
  await until(() => thirdParty.asked.size === 1)
  first.child.kill('SIGKILL')
  await first.ended

  const [, again] = await run(t, 'demo/main.js', [], env).waitFor(/listens on (\S+)/)
  isProblem(t, await send(again!, '/users', '{"email":"ann@example.com"}'), 409, '/problems/email-taken')
  for (const { headers } of jobs) {
    await until(async () => (await answer(fetch(`${again}${headers.get('location')}`))).json.state === 'done')
  }
  t.equal(thirdParty.acted(), 2)
})

t.test('a worker of its own says what it lacks', async (t) => {
  for (const [env, message] of [
    [{}, /^demo: DEMO_QUEUE_URL: 'memory:' is a queue in one process/],
    [{ DEMO_QUEUE_URL: 'beanstalkd://127.0.0.1:1' }, /^demo: DEMO_REDIS_URL: is missing; write redis/],
  ] as const) {
    const worker = run(t, 'demo/worker-main.js', [], env)
    t.equal(await worker.ended, 1)
    t.match(worker.output().err, message)
  }
})

async function until(condition: () => boolean | Promise<boolean>, patienceMs = 25_000): Promise<void> {
  const end = performance.now() + patienceMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${patienceMs} ms: ${condition}`)
    await delay(30)
  }
}
