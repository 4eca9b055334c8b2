import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { run, serve } from './process.ts'

const KEY = 'a-key-of-acme'

const POLICY = `
version: 1
identity:
  secret: 0123456789abcdef0123456789abcdef
  trusted_proxies: [loopback]
  api_keys: {header: x-api-key, hashes_file: keys, enrolment: controlled}
  admission: {max_devices: 40, burst: 30, rate: 60/min, idle: 30m}
  networks: [{cidr: 198.51.100.7/32, max_devices: 3}]
exempt: [{name: health, match: {path: /health}}]
deny: [{name: closed, match: {path: /closed}}]
limits:
  - {name: device, per: device, rate: 120/min, burst: 8}
  - {name: login, per: network, rate: 60/min, burst: 4, match: {path: /login}}
  - {name: customer, per: principal, on_missing: skip, rate: 30/min, burst: 3}
  - {name: keyed, per: principal, on_missing: deny, rate: 1000/s, match: {path: /keyed}}
  - {name: everybody, per: global, rate: 30/s, burst: 100}
  - {name: tenant, per: [header:x-tenant, method], on_missing: skip, rate: 1/s, burst: 3}
  - {name: mine, per: [device, path:1], rate: 1/s, burst: 2, match: {path: /b/**}}
  - {name: shade, per: network, rate: 1/s, burst: 3, mode: shadow}
`

type Client = { readonly fields: Record<string, string>; cookie?: string }

function clients(): Client[] {
  const office = Array.from({ length: 40 }, (_, i) => ({
    fields: { 'x-forwarded-for': '192.0.2.1', 'user-agent': `Agent/${i % 6}`, 'accept-language': i % 2 ? 'de' : 'en' },
  }))
  const small = Array.from({ length: 8 }, (_, i) => ({
    fields: { 'x-forwarded-for': '198.51.100.7', 'user-agent': `Small/${i}`, 'x-tenant': `t-${i % 2}` },
  }))
  const six = Array.from({ length: 12 }, (_, i) => ({
    fields: { 'x-forwarded-for': `2001:db8:1:${i % 3}::${i}`, 'user-agent': 'Six/1' },
  }))
  const tokens = Array.from({ length: 6 }, (_, i) => ({
    fields: { 'x-forwarded-for': `203.0.113.${i % 2}`, authorization: `Bearer token-${i}` },
  }))
  const keyed = [{ fields: { 'x-forwarded-for': '203.0.113.9', 'x-api-key': KEY } }]
  const nameless = [{ fields: { 'x-forwarded-for': '203.0.113.8' } }]
  return [...office, ...small, ...six, ...tokens, ...keyed, ...nameless]
}

/** An upstream that answers after a while of its own, so that requests end in another order than they were decided in. */
async function startUpstream(t: Test): Promise<string> {
  let turn = 0
  const server = createServer((_, response) => {
    turn++
    setTimeout(() => response.end('ok'), (turn * 7) % 40)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function ask(url: string, agent: Agent, path: string, client: Client): Promise<void> {
  const headers = { ...client.fields, ...(client.cookie === undefined ? {} : { cookie: client.cookie }) }
  const asked = request(`${url}${path}`, { agent, headers }).end()
  const [response] = await once(asked, 'response')
  const given = response.headers['set-cookie']?.[0]
  if (given !== undefined && client.fields['user-agent'] !== undefined) client.cookie = given.split(';')[0]
  response.resume()
  await once(response, 'end')
}

t.test(
  'replaying the proxy’s own access log reproduces its refusals, each with its binding limit and wait',
  async (t) => {
    const folder = t.testdir({
      keys: `sha256:${createHash('sha256').update(KEY).digest('hex')} acme\n`,
      'policy.yaml': POLICY,
    })
    const file = join(folder, 'policy.yaml')
    const proxy = await serve(t, { SLUICE_UPSTREAM: await startUpstream(t) }, ['-c', file])
    const agent = new Agent({ keepAlive: true, maxSockets: 40 })
    t.teardown(() => agent.destroy())
    const all = clients()
    const keyed = all.find(({ fields }) => fields['x-api-key'] !== undefined)!
    const paths = ['/a', '/login', '/b', '/keyed', '/health', '/closed', '/a', '/%zz']
    // The second round comes when tokens that come again count as stable; a flood of new identities lies between.
    for (let round = 0; round < 3; round++) {
      const asking = all.flatMap((client, i) =>
        Array.from({ length: 6 }, (_, k) => ask(proxy.url, agent, paths[(i + k + round) % paths.length]!, client)),
      )
      const flood = Array.from({ length: 60 }, (_, i) => {
        const fields = {
          'x-forwarded-for': '192.0.2.66',
          authorization: `Bearer flood-${round}-${i}`,
          'user-agent': `F/${i}`,
        }
        return ask(proxy.url, agent, '/flood', { fields })
      })
      await Promise.all([...asking, ...flood])
      await delay(1100)
    }
    // In the crowd the limit on everybody may refuse before these two have been charged enough to.
    const alone = { fields: { 'x-forwarded-for': '203.0.113.20', 'user-agent': 'Alone/1' } }
    for (let k = 0; k < 5; k++) {
      await ask(proxy.url, agent, '/a', keyed)
      await ask(proxy.url, agent, '/b', alone)
    }
    proxy.child.kill('SIGTERM')
    await proxy.ended
    const log = join(folder, 'access.log')
    writeFileSync(log, proxy.output().out)

    const lines = proxy
      .output()
      .out.trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const records = lines.filter(({ msg }) => msg === 'refused')
    const said = new Map(
      records.map(({ request_id: id, verdict, key, tier, binding, wait_ms: wait }) => {
        return [
          id,
          verdict === 'missing'
            ? { key, tier, outcome: 'denied' }
            : { key, tier, outcome: 'limited', binding, wait_ms: wait },
        ]
      }),
    )
    for (const limit of ['device', 'login', 'customer', 'everybody', 'tenant', 'mine']) {
      t.ok(
        records.some(({ limits }) =>
          limits.some((one: { limit: string; outcome: string }) => one.limit === limit && one.outcome === 'limited'),
        ),
        `${limit} has refused`,
      )
    }
    for (const tier of ['member', 'token', 'principal', 'class', 'overflow']) {
      t.ok(
        lines.some((line) => line.tier === tier),
        `there was a ${tier}`,
      )
    }
    const requests = lines.filter(({ msg, decision }) => msg === 'request' && decision !== undefined)
    t.notSame(
      requests.map(({ decision }) => decision),
      requests.map(({ decision }) => decision).sort((a, b) => a - b),
      'out of order',
    )

    const refusals = join(folder, 'refusals')
    const replayed = run(t, 'main.js', ['replay', log, '--policy', file, '--refusals', refusals, '--json'])
    t.equal(await replayed.ended, 0, replayed.output().err)
    const summary = JSON.parse(replayed.output().out)
    t.same(summary.own, {
      starts: 1,
      missing: 0,
      late: 0,
      reproduced: { same: requests.length, different: 0, first: [] },
    })
    const found = readFileSync(refusals, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const repeated = new Map(
      found
        .filter(({ key }) => key !== null)
        .map(({ request_id: id, key, tier, outcome, binding, wait_ms }) => {
          return [id, outcome === 'denied' ? { key, tier, outcome } : { key, tier, outcome, binding, wait_ms }]
        }),
    )
    t.ok(said.size > 100, `${said.size} of ${requests.length} refused`)
    t.same(repeated, said)
    t.equal(summary.policy.outcomes.limited, records.filter(({ verdict }) => verdict === 'limited').length)

    const wider = join(folder, 'wider.yaml')
    writeFileSync(wider, POLICY.replace('burst: 8', 'burst: 80'))
    const compared = run(t, 'main.js', [
      'replay',
      log,
      '--policy',
      wider,
      '--against',
      file,
      '--json',
      '--fail-over',
      '0%',
    ])
    t.type(await compared.ended, 'number')
    const { difference, policy, against } = JSON.parse(compared.output().out)
    t.ok(difference.no_longer_refused.requests > 0)
    t.equal(
      policy.refused.requests - against.refused.requests,
      difference.newly_refused.requests - difference.no_longer_refused.requests,
    )
  },
)
