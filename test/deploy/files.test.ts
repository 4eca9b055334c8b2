import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseAllDocuments, parse as parseYaml } from 'yaml'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))
const read = (name: string) => readFileSync(join(DEPLOY, name), 'utf8')
const ENV = { SLUICE_SECRET: 'x'.repeat(64), SLUICE_ADMIN_TOKEN: 'y'.repeat(32) }

/** The policy of a text that has no problem, or the test ends. */
function policyOf(text: string, file: string) {
  const result = parsePolicy({ text, file, env: ENV, readFile: () => '' })
  if (!result.ok) throw new Error(result.problems.map((problem) => formatProblem(problem)).join('\n'))
  return result.policy
}

t.test('the policy of compose.yaml says who is trusted, listens for Prometheus and shares its buckets', async (t) => {
  const policy = policyOf(read('sluice.yaml'), 'deploy/sluice.yaml')
  t.not(policy.identity.trustedProxies.length, 0)
  t.equal(policy.admin.host, '0.0.0.0')
  t.equal(policy.store.kind, 'redis')
})

t.test('what compose.yaml mounts is there, and each secret is asked for', async (t) => {
  const { services } = parseYaml(read('compose.yaml'))
  t.same(Object.keys(services), ['sluice', 'demo', 'redis', 'prometheus', 'grafana'])
  for (const { volumes = [] } of Object.values<{ volumes?: string[] }>(services)) {
    for (const volume of volumes) {
      const source = volume.split(':', 1)[0]!
      if (source.startsWith('.')) t.ok(statSync(join(DEPLOY, source)).isDirectory(), source)
    }
  }
  for (const name of Object.keys(ENV)) t.match(services.sluice.environment[name], `\${${name}:?`)
  t.ok(read('sluice.yaml').includes(`http://demo:3000`))
})

t.test('the sidecar of Kubernetes has a policy that is one, probes that are, and time for its drain', async (t) => {
  const [config, deployment] = parseAllDocuments(read('kubernetes/sluice.yaml')).map((document) => document.toJS())
  const policy = policyOf(config.data['sluice.yaml'], 'sluice.yaml')
  t.not(policy.identity.trustedProxies.length, 0)
  const { spec, metadata } = deployment.spec.template
  const [sidecar] = spec.initContainers
  t.equal(sidecar.restartPolicy, 'Always')
  const drain = policy.server.drainDelay + policy.server.drainTimeout
  t.ok(spec.terminationGracePeriodSeconds * 1000 >= drain + 5000)
  t.equal(sidecar.livenessProbe.httpGet.path, '/livez')
  t.equal(sidecar.readinessProbe.httpGet.path, '/readyz')
  const ports = new Map(sidecar.ports.map(({ name, containerPort }: never) => [name, containerPort]))
  t.equal(ports.get('http'), policy.listen.port)
  t.equal(ports.get('admin'), policy.admin.port)
  t.notOk(JSON.stringify(sidecar.volumeMounts).includes('subPath'))
  const monitor = parseYaml(read('kubernetes/pod-monitor.yaml'))
  t.match(metadata.labels, monitor.spec.selector.matchLabels)
  t.equal(monitor.spec.podMetricsEndpoints[0].port, 'admin')
})

t.test('every metric of ours that dashboard, alerts and their tests name is one', async (t) => {
  const { registry } = createMetrics({ version: 'x', node: 'y' })
  const known = new Set(registry.getMetricsAsArray().map(({ name }) => name))
  const names = new Set<string>()
  for (const name of readdirSync(DEPLOY, { recursive: true, encoding: 'utf8' })) {
    if (!/(rules.*|dashboards\/sluice)\.(yaml|json)$/.test(name)) continue
    for (const [metric] of read(name).matchAll(/\bsluice_[a-z_]+/g)) names.add(metric.replace(/_bucket$/, ''))
  }
  t.ok(names.size > 20)
  t.same(
    [...names].filter((name) => !known.has(name)),
    [],
  )
})
