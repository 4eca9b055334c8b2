import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'

t.test('it prints one line when it listens, and exits 0 by either signal', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const demo = run(t, { DEMO_PORT: '0' })
    const [line] = (await once(demo.stdout, 'data')) as [Buffer]
    const url = /^The demo upstream listens on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(String(line))?.[1]
    t.ok(url, String(line))
    const stream = await fetch(`${url}/sse`)
    t.equal((await fetch(`${url}/healthz`)).status, 200)
    demo.kill(signal)
    t.match(await stream.text(), /^id: 1\n/)
    t.same(await once(demo, 'exit'), [0, null])
  }
})

t.test('a taken port is one clear line, and exit 1', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const demo = run(t, { DEMO_PORT: String(port) })
  const [said, [code]] = await Promise.all([text(demo.stderr), once(demo, 'exit')])
  t.equal(said, `demo: cannot listen on 127.0.0.1:${port}: the port is taken; choose another\n`)
  t.equal(code, 1)
})

t.test('a conflict status that is none is one clear line, and exit 1', async (t) => {
  const demo = run(t, { DEMO_CONFLICT_STATUS: '400' })
  const [said, [code]] = await Promise.all([text(demo.stderr), once(demo, 'exit')])
  t.equal(said, "demo: DEMO_CONFLICT_STATUS: '400' is not acceptable; write 409 or 422\n")
  t.equal(code, 1)
})

t.test('it does nothing when it is only imported', async (t) => {
  await import('../../src/demo/main.ts')
  t.pass()
})

function run(t: Test, env: Record<string, string>) {
  // The same loader that runs this test; without tap's coverage, which writes when a process ends.
  const loader = process.execArgv.filter((arg) => !arg.includes('processinfo'))
  const { NODE_OPTIONS: _, ...rest } = process.env
  const demo = spawn(process.execPath, [...loader, 'src/demo/main.ts'], { env: { ...rest, ...env } })
  t.teardown(() => demo.kill('SIGKILL'))
  return demo
}
