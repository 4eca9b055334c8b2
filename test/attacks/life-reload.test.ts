import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { serve } from '../e2e/process.ts'
import { eventually } from '../fixtures/app.ts'
import { startLoad } from '../fixtures/load.ts'
import { startUpstream } from '../fixtures/upstream.ts'

/** The built proxy is reloaded in every way that breaks others (faults, section Life). */

const device = (burst: number | string, rate = '1/h') =>
  `version: 1\nlimits: [{name: device, per: device, rate: ${rate}, burst: ${burst}}]\n`

async function start(t: Test, file: string) {
  const upstream = await startUpstream(t)
  const running = await serve(t, { SLUICE_UPSTREAM: upstream.url }, ['-c', file])
  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${running.adminUrl}/metrics`)).text()
    return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1])
  }
  return {
    ...running,
    upstream,
    metric,
    status: async () => (await fetch(running.url)).status,
    loads: (result: 'success' | 'failure') => metric(`sluice_config_reloads_total{result="${result}"}`),
    burst: () => metric('sluice_limit_burst{limit="device"}'),
  }
}

const BAD: Readonly<Record<string, string | Buffer>> = {
  'half-written: it ends in the middle of a key': 'version: 1\nlimits: [{name: device, per: dev',
  'half-written: emptied': '',
  'a YAML bomb: aliases of aliases': `version: 1\na0: &a0 [x, x, x]\n${Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`).join('\n')}\nlimits: *a40\n`,
  'a YAML bomb: depth': `version: 1\nlimits: ${'['.repeat(100_000)}`,
  'a YAML bomb: size': `version: 1\n#${'x'.repeat(2 * 1024 * 1024)}\n`,
  'duplicate keys': `${device(9)}limits: []\n`,
  tabs: 'version: 1\nserver:\n\tmax_headers: 7\n',
  'UTF-16 with a BOM': Buffer.from(`\ufeff${device(9)}`, 'utf16le'),
  'not text': Buffer.from([0xff, 0xfe, 0, 1, 2, 3, 0x80]),
  NaN: device('.nan'),
  negative: device(-1),
  '1e309': device('1e309'),
  infinity: device('.inf'),
  'an unknown key': `${device(9)}limtis: []\n`,
  'a file it names that is not there': `${device(9)}identity: {secret_file: nowhere}\n`,
}

t.test('the old policy stays, and it is told, when the new one is', async (t) => {
  const file = join(t.testdir({ 'sluice.yaml': device(2) }), 'sluice.yaml')
  const proxy = await start(t, file)
  t.equal(await proxy.status(), 200)
  let failures = 0
  for (const [name, text] of Object.entries(BAD)) {
    writeFileSync(file, text)
    failures++
    await eventually(`${name}: it is refused`, async () => (await proxy.loads('failure')) === failures)
    t.equal(await proxy.metric('sluice_config_last_reload_successful'), 0, name)
    t.equal(await proxy.burst(), 2, name)
  }
  unlinkSync(file)
  failures++
  await eventually('deleted: it is refused', async () => (await proxy.loads('failure')) === failures)
  t.equal(await proxy.burst(), 2, 'deleted')
  t.same([await proxy.status(), await proxy.status()], [200, 429], 'the old limit, with what was taken before')
  t.equal(await proxy.loads('success'), 1)

  // Back, in UTF-8 with a BOM, which says nothing.
  writeFileSync(file, `\ufeff${device(3)}`)
  await eventually('it is read', async () => (await proxy.burst()) === 3)
  t.equal(await proxy.metric('sluice_config_last_reload_successful'), 1)
  t.same(
    [await proxy.status(), await proxy.status()],
    [200, 429],
    'a raised burst admits at once, what was taken stays taken',
  )
  writeFileSync(file, device(1))
  await eventually('it is read', async () => (await proxy.burst()) === 1)
  t.equal((await fetch(proxy.url)).headers.get('retry-after'), '3600', 'a lowered burst clamps the debt')
  writeFileSync(file, device(1, '10/s'))
  await eventually('a raised rate shortens the wait', async () => (await proxy.status()) === 200)
  const lines = proxy
    .output()
    .out.split('\n')
    .filter((line) => line.includes('the policy has problems'))
  t.equal(lines.length, failures, 'each is told once')
  t.ok(
    lines.every((line) => JSON.parse(line).problems[0].includes(file)),
    'with its place',
  )
})

t.test('a ConfigMap that the kubelet swaps is read, without a signal', async (t) => {
  const folder = t.testdir({ '..1': { 'sluice.yaml': device(1) } })
  symlinkSync('..1', join(folder, '..data'))
  symlinkSync('..data/sluice.yaml', join(folder, 'sluice.yaml'))
  const proxy = await start(t, join(folder, 'sluice.yaml'))
  t.same([await proxy.status(), await proxy.status()], [200, 429])
  for (const burst of [2, 3]) {
    mkdirSync(join(folder, `..${burst}`))
    writeFileSync(join(folder, `..${burst}`, 'sluice.yaml'), device(burst))
    symlinkSync(`..${burst}`, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    rmSync(join(folder, `..${burst - 1}`), { recursive: true })
    await eventually('it is read', async () => (await proxy.burst()) === burst)
    t.same([await proxy.status(), await proxy.status()], [200, 429])
  }
  t.equal(await proxy.loads('failure'), 0)
})

t.test('100 reloads a second under load lose no request', async (t) => {
  const folder = t.testdir({ 'sluice.yaml': device(1_000_000, '200000/s') })
  const file = join(folder, 'sluice.yaml')
  const proxy = await start(t, file)
  const load = startLoad(proxy.url, { connections: 8 })
  const began = performance.now()
  for (let i = 0; i < 300; i++) {
    // A third in place, a third by another file, a third half-written: the signal comes in whatever state it is.
    if (i % 3 === 0) writeFileSync(file, device(1_000_000 - i, '200000/s'))
    if (i % 3 === 1) {
      writeFileSync(`${file}.new`, device(999_000 - i, '200000/s'))
      renameSync(`${file}.new`, file)
    }
    if (i % 3 === 2) writeFileSync(file, device(0).slice(0, i % 50))
    proxy.child.kill('SIGHUP')
    await delay(Math.max(0, began + i * 10 - performance.now()))
  }
  writeFileSync(file, device(77))
  proxy.child.kill('SIGHUP')
  await eventually('the last is in force', async () => (await proxy.burst()) === 77)
  const { statuses, failures } = await load.stop()
  t.same(failures, [])
  t.same(Object.keys(statuses), ['200'].concat(statuses[429] ? ['429'] : []))
  t.ok(load.answered() >= 24, `${load.answered()} answered: each connection again and again`)
  // Signals that come while one waits are one.
  const reloads = (await proxy.loads('success')) + (await proxy.loads('failure'))
  t.ok(reloads >= 50, `${reloads} reloads`)
  t.equal(await proxy.metric('sluice_uncaught_errors_total'), 0)
  t.equal(proxy.upstream.seen.length, statuses[200])
})
