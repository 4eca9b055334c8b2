import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { serve } from '../e2e/process.ts'
import { eventually } from '../fixtures/app.ts'
import { freePort } from '../fixtures/redis-server.ts'

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))
const promtool = (...args: string[]) => promisify(execFile)('promtool', args, { cwd: join(DEPLOY, 'prometheus') })

t.test('promtool finds no fault in the configuration and the rules, and the rules pass their tests', async (t) => {
  await t.resolves(promtool('check', 'config', 'prometheus.yaml'))
  await t.resolves(promtool('check', 'rules', 'rules.yaml'))
  await t.resolves(promtool('test', 'rules', 'rules.test.yaml'))
})

t.test(
  'a Prometheus that scrapes a proxy evaluates each rule, and each query of the dashboard has an answer',
  async (t) => {
    const proxy = await startProxy(t)
    const prometheus = await startPrometheus(t, new URL(proxy.adminUrl).host)
    await eventually(
      'it is scraped',
      async () => (await query(prometheus, 'up{job="sluice"} == 1')).length === 1,
      20_000,
    )
    const end = performance.now() + 6000
    while (performance.now() < end) await fetch(proxy.url)
    await eventually(
      'refusals are seen',
      async () => (await query(prometheus, 'rate(sluice_requests_total{outcome="limited"}[10s]) > 0')).length > 0,
      20_000,
    )

    const queries = dashboardQueries()
    t.ok(queries.length >= 30, `${queries.length} queries`)
    for (const expression of queries) {
      const here = expression
        .replaceAll('$__rate_interval', '10s')
        .replaceAll('$job', 'sluice')
        .replaceAll('$instance', '.*')
      t.ok((await query(prometheus, here)).length > 0, here)
    }

    const { groups } = await ask(prometheus, '/api/v1/rules')
    const { rules } = groups[0]
    t.equal(rules.length, 11)
    await eventually(
      'each rule was evaluated',
      async () => (await alerts(prometheus)).every(({ health }) => health !== 'unknown'),
      20_000,
    )
    t.same(
      (await alerts(prometheus)).filter(({ health }) => health !== 'ok'),
      [],
    )
    t.equal((await alerts(prometheus)).find(({ name }) => name === 'SluiceDown')?.state, 'inactive')
    proxy.child.kill('SIGKILL')
    await eventually(
      'the alert on a proxy that is down is on its way',
      async () => (await alerts(prometheus)).find(({ name }) => name === 'SluiceDown')?.state === 'pending',
      20_000,
    )
  },
)

/** A proxy with a limit of one a second, and one in shadow. */
async function startProxy(t: Test) {
  const upstream = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => upstream.close())
  const folder = t.testdir({
    'policy.yaml': `
version: 1
upstream: {url: 'http://127.0.0.1:${(upstream.address() as AddressInfo).port}'}
limits:
  - {name: device, per: device, rate: 60/min, burst: 10}
  - {name: shadow, per: network, rate: 30/min, burst: 10, mode: shadow}
log: {access: off}
`,
  })
  return serve(t, {}, ['-c', join(folder, 'policy.yaml')])
}

/** Debian's Prometheus with the rules of deploy/, that scrapes the target each second; resolves with its URL. */
async function startPrometheus(t: Test, target: string): Promise<string> {
  const folder = t.testdir({
    'prometheus.yaml': `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['${DEPLOY}prometheus/rules.yaml']
scrape_configs:
  - job_name: sluice
    static_configs: [{targets: ['${target}']}]
`,
  })
  const address = `127.0.0.1:${await freePort()}`
  const args = [
    `--config.file=${join(folder, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
    '--log.level=error',
  ]
  const child = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const url = `http://${address}`
  const isReady = () =>
    fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  await eventually('Prometheus is ready', isReady, 20_000)
  return url
}

function dashboardQueries(): string[] {
  const { panels } = JSON.parse(readFileSync(join(DEPLOY, 'grafana/dashboards/sluice.json'), 'utf8'))
  return panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) => targets.map(({ expr }) => expr))
}

// biome-ignore lint/suspicious/noExplicitAny: what Prometheus answers is JSON of many shapes.
async function ask(url: string, path: string): Promise<any> {
  const answer = await fetch(`${url}${path}`)
  const { status, data, error } = (await answer.json()) as { status: string; data: unknown; error?: string }
  if (status !== 'success') throw new Error(`${decodeURIComponent(path)}: ${error}`)
  return data
}

async function query(url: string, expression: string): Promise<readonly unknown[]> {
  return (await ask(url, `/api/v1/query?query=${encodeURIComponent(expression)}`)).result
}

async function alerts(url: string): Promise<readonly { name: string; state: string; health: string }[]> {
  return (await ask(url, '/api/v1/rules')).groups[0].rules
}
