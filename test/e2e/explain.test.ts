import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { run, serve } from './process.ts'

const POLICY = 'version: 1\nlimits: [{name: device, per: device, rate: 60/min, burst: 3}]\n'

async function explain(t: Parameters<typeof run>[0], args: readonly string[], env: Record<string, string> = {}) {
  const running = run(t, 'main.js', ['explain', ...args], env)
  const code = await running.ended
  return { code, ...running.output() }
}

t.test("a refusal's request_id fed to explain shows the same binding limit, wait and tier", async (t) => {
  const upstream = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  t.teardown(() => upstream.close())
  const folder = t.testdir({ 'policy.yaml': POLICY })
  const env = { SLUICE_UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` }
  for (const workers of [1, 2]) {
    writeFileSync(join(folder, 'policy.yaml'), `${POLICY}server: {workers: ${workers}}\n`)
    const proxy = await serve(t, { ...env, SLUICE_CONFIG: `${folder}/policy.yaml` })
    let refused: Response
    do refused = await fetch(proxy.url)
    while (refused.status === 200)
    const { request_id: id } = (await refused.json()) as { request_id: string }
    await proxy.waitFor(/"msg":"refused"/)
    const line = JSON.parse(
      proxy
        .output()
        .out.split('\n')
        .find((line) => line.includes('"msg":"refused"'))!,
    )
    t.equal(line.request_id, id)
    const { code, out, err } = await explain(t, ['--admin', proxy.adminUrl, '--json', id])
    t.equal(code, 0, err)
    t.match(JSON.parse(out).refusal, {
      request_id: id,
      binding: line.binding,
      wait_ms: line.wait_ms,
      tier: line.tier,
      key: line.key,
      policy: line.policy,
    })
    const words = await explain(t, ['--admin', proxy.adminUrl, id])
    t.match(words.out, /429 limited, by device, 0\.\d+ s to wait/)
    t.match((await explain(t, ['--admin', proxy.adminUrl, '/'])).out, /device binds|429 limited, by device/)
    const unknown = await explain(t, ['--admin', proxy.adminUrl, 'no-such-request'])
    t.equal(unknown.code, 1)
    t.match(unknown.err, /says 404: No refusal of that request is known/)
    proxy.child.kill('SIGTERM')
    t.equal(await proxy.ended, 0, `${workers} workers`)
  }
})

t.test('what is asked of a proxy does not stand in an address, and what is no proxy is told', async (t) => {
  const asked: { url: string; body: string }[] = []
  const other = createServer(async (request, response) => {
    asked.push({ url: request.url!, body: await text(request) })
    response.setHeader('Content-Type', 'application/json').end('{"hello": "world"}')
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const admin = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
  for (const args of [['-H', 'Authorization: Bearer canary', '/'], ['some-id']]) {
    const { code, out, err } = await explain(t, ['--admin', admin, ...args])
    t.equal(code, 1, err)
    t.equal(out, '')
    t.match(err, /does not answer as the admin port of a proxy/)
  }
  t.match(asked, [
    { url: '/api/explain', body: /canary/ },
    { url: '/api/explain', body: /some-id/ },
  ])
})

t.test('without a proxy it explains a policy, with flags as curl has them, or JSON', async (t) => {
  const folder = t.testdir({
    'policy.yaml': POLICY,
    'bad.yaml': 'version: 2\n',
    'request.json': '{"url": "/x", "from": "203.0.113.9", "headers": {"User-Agent": "y"}}',
    'not.json': '{',
  })
  const c = ['-c', `${folder}/policy.yaml`]
  const said = await explain(t, [
    ...c,
    '-X',
    'POST',
    '-H',
    'User-Agent: y',
    '--from',
    '203.0.113.9',
    'https://api.example/x',
  ])
  t.equal(said.code, 0, said.err)
  t.match(said.out, /^POST \/x on api\.example\n/)
  t.match(said.out, /nobody trusts this one, so it is the client: 203\.0\.113\.9/)
  t.match(said.out, /tier class/)
  t.match(said.out, /RateLimit: "device";r=2;t=1/)
  const json = await explain(t, [...c, '--json', '--request', `${folder}/request.json`])
  t.match(JSON.parse(json.out), { verdict: 'forwarded', address: { client: '203.0.113.9' } })
  for (const [args, code, message] of [
    [[...c, 'an-id'], 2, /an-id is neither a path nor a URL; a request id needs the proxy/],
    [[...c], 2, /write one path, URL or request id/],
    [[...c, '-H', 'x', '/'], 2, /a header line has no name before a colon; write 'Name: value'/],
    [[...c, '--request', `${folder}/not.json`], 2, /is not JSON/],
    [[...c, '--request', `${folder}/request.json`, '/'], 2, /--request has the whole request/],
    [['--colour', '/'], 2, /--colour is not an option of sluice explain/],
    [['-c', `${folder}/bad.yaml`, '/'], 1, /bad\.yaml:1:10: version/],
    [['--admin', 'http://127.0.0.1:9', '/'], 1, /does not answer/],
  ] as const) {
    const wrong = await explain(t, args)
    t.equal(wrong.code, code, args.join(' '))
    t.match(wrong.err, message)
    t.equal(wrong.out, '')
  }
})
