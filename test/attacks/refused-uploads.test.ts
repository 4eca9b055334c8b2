import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startThrough } from '../fixtures/through.ts'

/** 60 MB at 20 MB/s: three seconds, in which the response waits for a client that reads nothing before it has sent all. */
const MB = 60
const RATE_MB = 20

const PYTHON = `
import http.client, sys, time
host, path = sys.argv[1], sys.argv[2]
piece = b'x' * (${RATE_MB} * 1000 * 1000 // 20)
def body():
    for _ in range(${MB} * 20 // ${RATE_MB}):
        time.sleep(0.05)
        yield piece
connection = http.client.HTTPConnection(host)
connection.request('PUT', path, body=body(), headers={'Content-Length': str(len(piece) * ${MB} * 20 // ${RATE_MB})})
response = connection.getresponse()
print(response.status, response.getheader('Retry-After'))
`

t.test('a client of a refused upload sees its 429', async (t) => {
  const { url } = await startThrough(t, {
    limits: [limitOf({ per: 'network', rate: { tokens: 1, seconds: 3600 }, burst: 1 })],
  })
  t.equal((await ask(t, url, get())).status, 200)

  t.test('curl, which stops when it has read it', async (t) => {
    const file = join(t.testdir(), 'upload')
    writeFileSync(file, Buffer.alloc(MB * 1000 * 1000))
    for (const options of [
      ['-H', 'Expect:'],
      ['-H', 'Expect:', '-H', 'Transfer-Encoding: chunked'],
    ]) {
      const args = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--limit-rate', `${RATE_MB}M`, ...options]
      t.match(await run(t, 'curl', [...args, '-T', file, `${url}/upload`]), { out: '429', code: 0 })
    }
  })

  t.test('Python, which reads nothing before it has sent all', async (t) => {
    if (spawnSync('python3', ['--version']).error) return void t.comment('python3 is not here: not tried')
    const { host } = new URL(url)
    t.match((await run(t, 'python3', ['-c', PYTHON, host, '/'])).out, /^429 \d+/)
  })
})

function run(t: Test, command: string, args: readonly string[]): Promise<{ out: string; code: number | null }> {
  const child = spawn(command, args)
  t.teardown(() => child.kill())
  let out = ''
  child.stdout.on('data', (part) => {
    out += part
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ out, code })))
}
