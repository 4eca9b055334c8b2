import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort, run, serve } from './process.ts'

async function upstream(t: Test, answer: (respond: (text: string) => void) => void = (respond) => respond('ok')) {
  const server = createServer((_, response) => answer((text) => response.end(text))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('SLUICE_UPSTREAM alone, without a file, is enough: 600 a minute, burst 120 for each device', async (t) => {
  const { url } = await serve(t, { SLUICE_UPSTREAM: await upstream(t) })
  const answer = await fetch(url)
  t.equal(await answer.text(), 'ok')
  t.equal(answer.headers.get('ratelimit-policy'), '"device";q=120;w=12')
  t.equal(answer.headers.get('ratelimit'), '"device";r=119;t=1')
})

t.test('a wrong policy ends the start with all its problems, exit 1', async (t) => {
  const file = join(
    t.testdir({ 'bad.yaml': 'version: 1\nlisten: nowhere\nlimits:\n  - name: a\n    rate: 10/sek\n' }),
    'bad.yaml',
  )
  const running = run(t, 'main.js', ['serve', '-c', file])
  t.equal(await running.ended, 1)
  const { err } = running.output()
  t.match(err, `${file}:2:9: listen: `)
  t.match(err, `${file}:5:11: limits[0].rate: '10/sek'`)
})

t.test('a policy file that is not there is told in one line, exit 1', async (t) => {
  const running = run(t, 'main.js', [], { SLUICE_CONFIG: '/nowhere/sluice.yaml' })
  t.equal(await running.ended, 1)
  t.match(running.output().err, /^sluice: \/nowhere\/sluice\.yaml: .*\n$/)
})

t.test('a taken port is told in one line, exit 1', async (t) => {
  const { url } = await serve(t, {})
  const address = new URL(url).host
  const second = run(t, 'main.js', [], { SLUICE_LISTEN: address, SLUICE_ADMIN: '127.0.0.1:0' })
  t.equal(await second.ended, 1)
  t.match(second.output().err, `sluice: listen: cannot listen on ${address}: it is taken`)
})

t.test('a taken admin port is told too, and nothing is left listening', async (t) => {
  const { adminUrl } = await serve(t, {})
  const second = run(t, 'main.js', [], { SLUICE_LISTEN: '127.0.0.1:0', SLUICE_ADMIN: new URL(adminUrl).host })
  t.equal(await second.ended, 1)
  t.match(second.output().err, 'sluice: admin: cannot listen on')
})

t.test('an unreachable upstream is a 502 problem document, and the proxy stays up', async (t) => {
  const { url, adminUrl } = await serve(t, { SLUICE_UPSTREAM: `http://127.0.0.1:${await freePort()}` })
  for (let i = 0; i < 2; i++) {
    const answer = await fetch(url)
    t.equal(answer.status, 502)
    t.equal(answer.headers.get('content-type'), 'application/problem+json')
    t.equal(answer.headers.get('proxy-status'), 'sluice; error=connection_refused')
    t.match(await answer.json(), { type: 'about:blank', title: 'Bad Gateway', status: 502, request_id: String })
  }
  t.equal((await fetch(`${adminUrl}/livez`)).status, 200)
})

t.test('SIGTERM lets what is under way finish, then exits 0', async (t) => {
  let respond: (text: string) => void = () => {}
  let arrived: () => void = () => {}
  const isUnderWay = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const url = await upstream(t, (finish) => {
    respond = finish
    arrived()
  })
  const running = await serve(t, { SLUICE_UPSTREAM: url })
  const answer = fetch(running.url)
  await isUnderWay
  running.child.kill('SIGTERM')
  await running.waitFor(/"draining"/)
  respond('late, but whole')
  t.equal(await (await answer).text(), 'late, but whole')
  t.equal(await running.ended, 0)
})

t.test('a second signal exits at once', async (t) => {
  let arrived: () => void = () => {}
  const isUnderWay = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const running = await serve(t, { SLUICE_UPSTREAM: await upstream(t, () => arrived()) })
  fetch(running.url).catch(() => {})
  await isUnderWay
  running.child.kill('SIGTERM')
  await running.waitFor(/"draining"/)
  running.child.kill('SIGTERM')
  t.equal(await running.ended, 1)
})

t.test('SIGHUP puts an edited policy in force and keeps balances; a bad one leaves the old', async (t) => {
  const folder = t.testdir({})
  const file = join(folder, 'sluice.yaml')
  const write = (burst: number | string) =>
    writeFileSync(file, `version: 1\nlimits: [{name: device, per: device, rate: 1/h, burst: ${burst}}]\n`)
  write(1)
  const running = await serve(t, { SLUICE_UPSTREAM: await upstream(t) }, ['-c', file])
  const status = async () => (await fetch(running.url)).status
  t.equal(await status(), 200)
  t.equal(await status(), 429)

  write('many')
  running.child.kill('SIGHUP')
  await running.waitFor(/the policy has problems/)
  t.equal(await status(), 429)
  t.match(await (await fetch(`${running.adminUrl}/metrics`)).text(), /^sluice_config_last_reload_successful 0$/m)

  write(2)
  running.child.kill('SIGHUP')
  await running.waitFor(/policy in force/)
  t.equal(await status(), 200, 'the raised burst admits at once')
  t.equal(await status(), 429, 'but what was taken stays taken')
  t.match(await (await fetch(`${running.adminUrl}/metrics`)).text(), /^sluice_config_last_reload_successful 1$/m)
})

t.test('wrong usage exits 2 and says what is right', async (t) => {
  for (const args of [['sevre'], ['serve', '--conf', 'x'], ['check']]) {
    const running = run(t, 'main.js', args)
    t.equal(await running.ended, 2, args.join(' '))
    t.match(running.output().err, /^sluice: .*write|^usage: sluice/)
  }
})

t.test('version and help are printed', async (t) => {
  const version = run(t, 'main.js', ['version'])
  t.equal(await version.ended, 0)
  t.match(version.output().out, /^\d+\.\d+\.\d+\n$/)
  const help = run(t, 'main.js', ['--help'])
  t.equal(await help.ended, 0)
  t.match(help.output().out, 'Usage: sluice')
})

t.test('SIGTERM before the start is complete ends it with 0 all the same', async (t) => {
  // A Redis that accepts and says nothing: the start waits for it, until its time is up.
  const redis = createTcpServer().listen(0, '127.0.0.1')
  await once(redis, 'listening')
  t.teardown(() => redis.close())
  const running = run(t, 'main.js', [], {
    SLUICE_LISTEN: '127.0.0.1:0',
    SLUICE_ADMIN: '127.0.0.1:0',
    SLUICE_REDIS_URL: `redis://127.0.0.1:${(redis.address() as AddressInfo).port}`,
    SLUICE_SECRET: 'a secret of 32 bytes or more, for tests',
  })
  await once(redis, 'connection')
  running.child.kill('SIGTERM')
  t.equal(await running.ended, 0)
})
