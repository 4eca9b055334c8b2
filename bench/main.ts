import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '../test/fixtures/redis-server.ts'
import { AMPLE } from './contenders/contender.ts'
import { HAPROXY } from './contenders/haproxy.ts'
import { NGINX, startUpstream } from './contenders/nginx.ts'
import { NODE } from './contenders/node.ts'
import { SLUICE } from './contenders/sluice.ts'
import { writeClients } from './load/clients.ts'
import { pinToLoadCore } from './load/process.ts'
import { optionsOf } from './options.ts'
import { measureRequests } from './requests.ts'

const CONTENDERS = [...SLUICE, ...NGINX, HAPROXY, ...NODE]

async function main(): Promise<void> {
  const options = optionsOf(
    process.argv.slice(2),
    CONTENDERS.map(({ name }) => name),
  )
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n`)
    process.exitCode = 2
    return
  }
  await pinToLoadCore()
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const contenders = CONTENDERS.filter(({ name }) => options.only === null || options.only.includes(name))
  const upstream = await startUpstream(folder)
  const redis = contenders.some(({ needs }) => needs.redis) ? await startRedis() : null
  const around = { folder, upstreamPort: upstream.port, redis }
  try {
    const jar = await SLUICE[0]!.start(around, AMPLE)
    const clients = await writeClients(jar.port, folder)
    await jar.stop()
    const results = await measureRequests(contenders, around, clients, {
      ...options,
      tell: (line) => process.stderr.write(`${line}\n`),
    })
    for (const { contender, perCpuSecond, perSecond, redisUs, errors } of results)
      process.stdout.write(
        `${contender.title}: ${Math.round(perCpuSecond.median)} (${Math.round(perCpuSecond.least)}-${Math.round(perCpuSecond.most)}) per CPU s, ${Math.round(perSecond.median)} per s, redis ${redisUs?.median.toFixed(2)} us, ${errors} errors\n`,
      )
  } finally {
    await redis?.stop()
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

await main()
