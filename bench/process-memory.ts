import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../test/fixtures/redis-server.ts'
import type { Surroundings } from './contenders/contender.ts'
import { startSluice } from './contenders/sluice.ts'
import { residentBytes } from './load/cpu.ts'

/** Bytes of the whole process in memory after so many distinct devices have asked once each. */
export type ProcessMemory = readonly (readonly [devices: number, bytes: number])[]

/** What does the whole process cost that 10^5, and 10^6, devices have come by, all of which still owe? */
export function measureTracked(around: Surroundings): Promise<ProcessMemory> {
  return weigh(around, '10/h', [0, 100_000, 1_000_000])
}

/** What do ever more devices leave behind whose buckets are full again within moments? */
export function measureChurn(around: Surroundings): Promise<ProcessMemory> {
  return weigh(around, '1000/s', [100_000, 300_000, 600_000])
}

async function weigh(around: Surroundings, rate: string, steps: readonly number[]): Promise<ProcessMemory> {
  const port = await freePort()
  const file = join(around.folder, `memory.${port}.yaml`)
  writeFileSync(
    file,
    `version: 1
listen: 127.0.0.1:${port}
admin: 127.0.0.1:0
upstream: {url: 'http://127.0.0.1:${around.upstreamPort}'}
identity: {secret: the-benchmark-signs-its-marks-with-this-one, trusted_proxies: [loopback]}
store: {kind: memory, max_buckets: 4000000}
limits: [{name: device, per: device, rate: ${rate}, burst: 10}]
log: {level: warn, access: 'off'}
`,
  )
  const server = await startSluice(port, file)
  try {
    const weights: [number, number][] = []
    let asked = 0
    for (const step of steps) {
      await askOnce(port, asked, step)
      asked = step
      weights.push([step, residentBytes(server.pid)])
    }
    return weights
  } finally {
    await server.stop()
  }
}

const CONNECTIONS = 16
const PIPELINED = 32
const STATUS_LINE = 'HTTP/1.1 200'

/** Lets the devices from the one number to the other ask once each, and wait for their answers. */
async function askOnce(port: number, from: number, to: number): Promise<void> {
  let next = from
  const take = () => (next < to ? next++ : null)
  await Promise.all(Array.from({ length: CONNECTIONS }, () => client(port, take)))
}

function client(port: number, take: () => number | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let awaited = 0
    let tail = ''

    function send(): void {
      const heads: string[] = []
      while (heads.length < PIPELINED) {
        const device = take()
        if (device === null) break
        const address = `10.${device >> 16}.${(device >> 8) & 255}.${device & 255}`
        heads.push(`GET / HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nX-Forwarded-For: ${address}\r\n\r\n`)
      }
      awaited = heads.length
      if (awaited === 0) socket.end(resolve)
      else socket.write(heads.join(''))
    }

    socket.on('data', (chunk) => {
      const text = tail + chunk.toString('latin1')
      let end = 0
      for (const match of text.matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        if (match[1] !== '200') return void socket.destroy(new Error(`an answer is ${match[1]}`))
        awaited--
        end = match.index + match[0].length
      }
      // A status line may be cut anywhere.
      tail = text.slice(Math.max(end, text.length - STATUS_LINE.length + 1))
      if (awaited === 0) send()
    })
    socket.on('error', reject)
    socket.on('connect', send)
  })
}
