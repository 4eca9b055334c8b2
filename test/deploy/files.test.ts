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
  const { services } = parseYaml(read('compose.yaml'), { merge: true })
  t.same(Object.keys(services), ['sluice', 'sluice-2', 'demo', 'redis', 'prometheus', 'grafana'])
  for (const { volumes = [] } of Object.values<{ volumes?: string[] }>(services)) {
    for (const volume of volumes) {
      const source = volume.split(':', 1)[0]!
      if (source.startsWith('.')) t.ok(statSync(join(DEPLOY, source)).isDirectory(), source)
    }
  }
  for (const name of Object.keys(ENV)) t.match(services.sluice.environment[name], `\${${name}:?`)
  t.ok(read('sluice.yaml').includes(`http://demo:3000`))
})

t.test(
  'the second instance of compose.yaml has host ports of its own, and the name that Prometheus asks for',
  async (t) => {
    const { services } = parseYaml(read('compose.yaml'), { merge: true })
    const first: string[] = services.sluice.ports
    const second: string[] = services['sluice-2'].ports
    const hostPort = (port: string) => port.split(':').at(-2)
    t.equal(new Set([...first, ...second].map(hostPort)).size, 4)
    t.same(services['sluice-2'].environment, services.sluice.environment)
    const [{ dns_sd_configs }] = parseYaml(read('prometheus/prometheus.yaml')).scrape_configs
    t.same(services['sluice-2'].networks.default.aliases, dns_sd_configs[0].names)
    for (const port of [...first, ...second]) if (port.endsWith(':8081')) t.ok(port.startsWith('127.0.0.1:'), port)
  },
)

t.test('a first run from the shipped files warns that the secret is random', async (t) => {
  for (const name of ['container.yaml', 'sluice.yaml']) {
    const file = fileURLToPath(new URL(`../../config/${name}`, import.meta.url))
    const { ok, warnings } = parsePolicy({ text: readFileSync(file, 'utf8'), file, env: {}, readFile: () => '' })
    t.ok(ok)
    t.ok(
      warnings.some(({ path }) => path === 'identity.secret'),
      name,
    )
  }
})

t.test('the sidecar of Kubernetes has a policy that is one, probes that are, and time for its drain', async (t) => {
  const [config, deployment, service] = parseAllDocuments(read('kubernetes/sluice.yaml')).map((document) =>
    document.toJS(),
  )
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
  const [api] = spec.containers
  t.equal(api.readinessProbe.httpGet.port, policy.listen.port, 'the API is asked through the proxy')
  for (const { readinessProbe } of [sidecar, api]) {
    t.ok(readinessProbe.failureThreshold > 1 && readinessProbe.timeoutSeconds > 1, 'one slow probe is no outage')
  }
  t.equal(service.spec.ports[0].targetPort, policy.listen.port, 'by number, for Kubernetes before 1.32')
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
