import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { startRedis } from '../fixtures/redis-server.ts'
import { serve } from './process.ts'

const BURST = 40
const RATE_PER_SECOND = 10

const policy = `
version: 1
store: {kind: redis, url: "\${SLUICE_REDIS_URL}", timeout: 1s}
limits: [{name: device, per: device, rate: ${RATE_PER_SECOND}/s, burst: ${BURST}}]
`

t.test('two proxies on one Redis share one limit: together never more than burst + rate * T', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  let arrived = 0
  const upstream = createServer((_, response) => {
    arrived++
    response.end('ok')
  }).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => upstream.close())
  const file = join(t.testdir({ 'sluice.yaml': policy }), 'sluice.yaml')
  const env = {
    SLUICE_UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    SLUICE_REDIS_URL: redis.url,
    SLUICE_SECRET: 'a secret that both instances share, of 32 bytes or more',
    SLUICE_LOG_LEVEL: 'info',
  }
  const proxies = await Promise.all([serve(t, env, ['-c', file]), serve(t, env, ['-c', file])])

  const seconds = 6
  const begin = performance.now()
  const flood = async (url: string): Promise<number> => {
    let passed = 0
    while (performance.now() - begin < 1000 * seconds) {
      const answer = await fetch(url, { headers: { 'User-Agent': 'one device' } })
      await answer.arrayBuffer()
      if (answer.status === 200) passed++
      else if (answer.status !== 429) throw new Error(`unexpected ${answer.status}`)
    }
    return passed
  }
  const passed = await Promise.all([...proxies, ...proxies].map(({ url }) => flood(url)))
  const lasted = (performance.now() - begin) / 1000
  const total = passed.reduce((sum, count) => sum + count, 0)

  t.equal(total, arrived, 'the upstream saw what was admitted')
  t.ok(total <= BURST + RATE_PER_SECOND * lasted, `${total} <= ${BURST} + ${RATE_PER_SECOND} * ${lasted}`)
  t.ok(total >= BURST + RATE_PER_SECOND * seconds * 0.9, 'and the limit is not shared twice')
  t.ok(passed[0]! + passed[2]! > 0 && passed[1]! + passed[3]! > 0, 'both took part')
  for (const { adminUrl } of proxies) {
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
    t.match(metrics, /^sluice_store_fallbacks_total\{action="local"\} 0$/m, 'every decision was taken in Redis')
    t.match(metrics, /^sluice_store_up 1$/m)
  }
})
