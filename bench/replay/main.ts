import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/**
 * How fast is `sluice replay`, and does its memory stay flat? Writes a log in the combined format on the fly into the built program and
 * prints, each second or so, what that has taken: `node dist/bench/bench/replay/main.js [lines] [clients]`.
 */

const lines = Number(process.argv[2] ?? 1_000_000)
const clients = Number(process.argv[3] ?? 50_000)
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url))
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const BATCH = 5000
const START_MS = Date.UTC(2026, 10, 1)

let state = 1
function random(): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return state / 2 ** 32
}

/** Few clients ask much, many little. */
function client(): number {
  return Math.floor(clients ** random())
}

function lineOf(i: number): string {
  const at = new Date(START_MS + 2 * i)
  const two = (value: number) => String(value).padStart(2, '0')
  const clock = [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()].map(two).join(':')
  const time = `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}:${clock} +0000`
  const who = client()
  const address = `10.${(who >> 16) & 255}.${(who >> 8) & 255}.${who & 255}`
  const agent = `Mozilla/5.0 (X11; Linux x86_64; rv:${100 + (who % 40)}.0) Gecko/20100101 Firefox/${100 + (who % 40)}.0`
  const target = `/api/items/${Math.floor(random() * 100_000)}?page=${i % 10}`
  return `${address} - - [${time}] "GET ${target} HTTP/1.1" 200 ${i % 9999} "https://example.com/" "${agent}"\n`
}

const child = spawn(process.execPath, ['--import', import.meta.resolve('./usage.js'), MAIN, 'replay', '-', '--json'], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
let out = ''
child.stdout.setEncoding('utf8').on('data', (text: string) => {
  out += text
})
for (let i = 0; i < lines; i += BATCH) {
  let text = ''
  for (let k = i; k < Math.min(lines, i + BATCH); k++) text += lineOf(k)
  if (!child.stdin.write(text)) await once(child.stdin, 'drain')
}
child.stdin.end()
await once(child, 'close')
const { log, policy } = JSON.parse(out)
process.stdout.write(
  `${log.requests} requests, ${policy.refused.requests} refused, ${policy.refused.clients.count} clients\n`,
)
