import t, { type Test } from 'tap'
import type { ShownOrder, ShownState } from '../../src/admin/shown.ts'
import type { Refused } from '../../src/proxy/top-refused.ts'
import { eventually } from '../fixtures/app.ts'
import { startRedis } from '../fixtures/redis-server.ts'
import { ask, isOfBoth, startWorkers } from './workers.ts'

/** What an operator does at the one admin port of two workers, and two workers on one Redis. */

const TOKEN = 'the-admin-token'

async function start(t: Test, limits: string, options: { env?: Record<string, string>; server?: string } = {}) {
  const env = { SLUICE_ADMIN_TOKEN: TOKEN, ...options.env }
  const proxy = await startWorkers(t, limits, { ...options, env })
  const get = async (path: string) => (await fetch(`${proxy.adminUrl}/api/${path}`)).json()
  const post = async (action: string, body: object) => {
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    return await fetch(`${proxy.adminUrl}/api/${action}`, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  const lookUp = async (kind: string) => {
    const shown = { address: '127.0.0.1', user_agent: 'one device' }
    const states = (await (await post('lookup', shown)).json()) as ShownState[]
    return states.find((state) => state.kind === kind)!
  }
  /** Asks, `each` at a time, until both workers have written such a line; the statuses that came. */
  const askBoth = async (msg = 'request', each = 4): Promise<readonly number[]> => {
    const before = linesOf(msg).length
    const statuses: number[] = []
    await eventually(`both workers have written ${msg}`, async () => {
      for (let n = 0; n < each; n++) statuses.push(await ask(proxy.url))
      return isOfBoth(linesOf(msg).slice(before))
    })
    return statuses
  }
  const linesOf = (msg: string) => proxy.lines().filter((line) => line.msg === msg)
  return { ...proxy, get, post, lookUp, askBoth, linesOf }
}

t.test(
  'a ban and a grant hold in both workers, also in one that comes later and after a reload, until lifted',
  async (t) => {
    const limits = (burst: number) =>
      `limits: [{name: device, per: device, rate: 1/d, burst: ${burst}, newcomers: {rate: 1/d, burst: ${burst}}}]`
    const proxy = await start(t, limits(1))
    while ((await ask(proxy.url)) !== 429);
    t.same(new Set(await proxy.askBoth()), new Set([429]))
    const { key } = await proxy.lookUp('network')
    for (const [action, status] of [
      ['grant', 200],
      ['ban', 403],
    ] as const) {
      t.equal((await proxy.post(action, { key, for: '1h', reason: 'asked for' })).status, 200)
      t.same(new Set(await proxy.askBoth()), new Set([status]), action)
      t.match((await proxy.get('orders')) as ShownOrder[], [{ kind: action, key, reason: 'asked for' }])
    }
    process.kill(proxy.pids()[0]!, 'SIGKILL')
    await eventually('it is replaced', async () => {
      return (await proxy.metric('sluice_worker_deaths_total')) === 1 && (await proxy.metric('sluice_workers')) === 2
    })
    t.same(new Set(await proxy.askBoth()), new Set([403]), 'the new worker too')
    const reloads = 'sluice_config_reloads_total{result="success"}'
    const loaded = await proxy.metric(reloads)
    proxy.write(limits(2))
    await eventually('it is in force', async () => (await proxy.metric(reloads)) > loaded)
    t.same(new Set(await proxy.askBoth()), new Set([403]), 'after a reload')
    t.equal((await proxy.post('lift', { key, reason: 'over' })).status, 200)
    await ask(proxy.url)
    t.same(new Set(await proxy.askBoth()), new Set([429]))
    t.same(await proxy.get('orders'), [])
    t.equal((await proxy.post('lift', { key, reason: 'over' })).status, 404)
  },
)

t.test('a reset gives both workers tokens again, once; the most refused are summed over both', async (t) => {
  const limits = 'limits: [{name: device, per: device, rate: 1/d, burst: 20, newcomers: {rate: 1/d, burst: 1000}}]'
  const proxy = await start(t, limits)
  const refusals = () => proxy.linesOf('refused')
  let count = 0
  const flood = async () => {
    const statuses = await proxy.askBoth('refused', 60)
    const passed = statuses.filter((status) => status === 200).length
    count += statuses.length - passed
    return passed
  }
  t.equal(await flood(), 20)
  const { key } = await proxy.lookUp('class')
  t.equal((await proxy.post('reset', { key, reason: 'helpdesk' })).status, 200)
  t.equal(await flood(), 20)
  await eventually('all are written', () => refusals().length === count)
  const { refused } = (await proxy.get('refused')) as { refused: Refused[] }
  t.match(refused, [{ key, tier: 'class', count, error: 0, networks: 1 }])
  t.equal((await proxy.lookUp('class')).refused?.count, count)
  const newest = (await proxy.get('refusals')) as { request_id: string }[]
  const last = new Set(refusals().map(({ request_id }) => request_id))
  t.equal(newest.filter(({ request_id: id }) => last.has(id)).length, 50)
})

t.test('two workers on one Redis hold one limit together, and end in order', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const [burst, rate, seconds] = [40, 10, 5]
  const rules = `store: {kind: redis, url: "${redis.url}", timeout: 1s}
limits: [{name: device, per: device, rate: ${rate}/s, burst: ${burst}, newcomers: {rate: ${rate}/s, burst: ${burst}}}]`
  const proxy = await start(t, rules)
  const began = performance.now()
  let passed = 0
  const flood = async () => {
    while (performance.now() - began < 1000 * seconds) {
      const status = await ask(proxy.url)
      if (status === 200) passed++
      else if (status !== 429) throw new Error(`unexpected ${status}`)
    }
  }
  await Promise.all(Array.from({ length: 4 }, flood))
  const lasted = (performance.now() - began) / 1000
  t.equal(passed, proxy.served(), 'the upstream saw what was admitted')
  const most = burst + rate * (lasted + 0.25)
  t.ok(passed <= most, `${passed} <= ${most}`)
  t.ok(passed >= (burst + rate * seconds) * 0.85, `${passed}: nor is it shared by two`)
  t.ok(isOfBoth(proxy.linesOf('request')))
  t.equal(await proxy.metric('sluice_store_fallbacks_total{action="local"}'), 0, 'every decision was taken in Redis')
  t.equal(await proxy.metric('sluice_store_up'), 1)
  const { key } = await proxy.lookUp('class')
  t.equal((await proxy.post('reset', { key, reason: 'helpdesk' })).status, 200)
  proxy.child.kill('SIGTERM')
  t.equal(await proxy.ended, 0)
  // Beside redis-cli's own.
  await eventually('no connection stays', async () => /connected_clients:1\b/.test(await redis.cli('info', 'clients')))
})
