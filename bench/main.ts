import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '../test/fixtures/redis-server.ts'
import { AMPLE } from './contenders/contender.ts'
import { HAPROXY } from './contenders/haproxy.ts'
import { NGINX, startUpstream } from './contenders/nginx.ts'
import { NODE } from './contenders/node.ts'
import { BEFORE, SLUICE, sluiceOf } from './contenders/sluice.ts'
import { measureLatency } from './latency.ts'
import { runApart } from './load/apart.ts'
import { writeClients } from './load/clients.ts'
import { pinToLoadCore } from './load/process.ts'
import { type Options, optionsOf } from './options.ts'
import { measureChurn, measureTracked } from './process-memory.ts'
import { machineText, markdownOf } from './report.ts'
import { measureRequests } from './requests.ts'
import type { Decisions, DeviceMemory, Results } from './targets.ts'
import { installPeers, installTools } from './tools.ts'

const CONTENDERS = [...SLUICE, ...NGINX, HAPROXY, ...NODE]
const QUESTIONS = ['decisions', 'device-memory', 'process-memory', 'churn', 'latency']
const NAMES = [...CONTENDERS.map(({ name }) => name), ...QUESTIONS]

const USAGE = `usage: npm run bench -- [--only NAME,NAME] [--rounds 5] [--seconds 3] [--against FOLDER] [--write]
Left out, everything is measured. NAME is one of ${NAMES.join(' ')}. --against measures the built checkout in
FOLDER in the same rounds. --write adds a page to bench/results/.
`

/** Measures Sluice beside its peers in one run, and prints what came of the numbers that the design promises. */
async function main(): Promise<void> {
  const options = optionsOf(process.argv.slice(2), NAMES)
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n${USAGE}`)
    process.exitCode = 2
    return
  }
  installTools()
  const machine = machineText()
  const results = await measure(options)
  const text = markdownOf(results)
  process.stdout.write(`${machine}\n\n${text}`)
  if (options.isWritten) writePage(options, machine, text)
  const errors = results.requests.reduce((sum, one) => sum + one.errors, results.latency?.errors ?? 0)
  // Whoever is timed while it answers wrongly has not been timed.
  process.exitCode = errors === 0 ? 0 : 1
}

async function measure(options: Options): Promise<Results> {
  const isWanted = (name: string) => options.only === null || options.only.includes(name)
  const present = CONTENDERS.filter(({ name }) => isWanted(name))
  const before = options.against === null ? [] : sluiceOf(options.against, present)
  // Each beside its twin, so that both meet the same neighbours.
  const contenders = present.flatMap((one) => [one, ...before.filter(({ name }) => name === one.name + BEFORE)])
  if (contenders.some(({ needs }) => needs.peers)) installPeers()
  await pinToLoadCore()
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const tell = (line: string) => void process.stderr.write(`${line}\n`)
  const upstream = await startUpstream(folder)
  const redis = contenders.some(({ needs }) => needs.redis) ? await startRedis() : null
  const around = { folder, upstreamPort: upstream.port, redis }
  try {
    const jar = await SLUICE[0]!.start(around, AMPLE)
    const clients = await writeClients(jar.port, folder)
    await jar.stop()
    const running = { ...options, tell }
    return {
      requests: await measureRequests(contenders, around, clients, running),
      latency: isWanted('latency') ? await measureLatency(SLUICE[0]!, around, clients('known'), running) : null,
      decisions: isWanted('decisions') ? await runApart<Decisions>('decisions') : null,
      deviceMemory: isWanted('device-memory') ? await runApart<DeviceMemory>('device-memory') : null,
      processMemory: isWanted('process-memory') ? await measureTracked(around) : null,
      churn: isWanted('churn') ? await measureChurn(around) : null,
    }
  } finally {
    await redis?.stop()
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function writePage({ only, rounds, seconds }: Options, machine: string, text: string): void {
  const date = new Date().toISOString().slice(0, 10)
  const page = `# Benchmark, ${date}

${machine}. ${rounds} rounds of ${seconds} s for each, in turn; median (least to most). How it is made: bench/README.md.
${only === null ? '' : `Of the whole, this is: ${only.join(', ')}.\n`}
${text}`
  mkdirSync('bench/results', { recursive: true })
  const name = (nth: number) => `bench/results/${date}-bench${nth === 1 ? '' : `-${nth}`}.md`
  let nth = 1
  while (existsSync(name(nth))) nth++
  writeFileSync(name(nth), page)
  process.stderr.write(`written: ${name(nth)}\n`)
}

await main()
