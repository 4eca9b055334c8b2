import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/fixtures/redis-server.ts'
import { type Server, startServer } from '../load/process.ts'
import type { Allowance, Clients, Contender, Surroundings } from './contender.ts'

type Setting = {
  readonly name: string
  readonly title: string
  readonly clients?: Clients
  readonly status?: number
  readonly isOnRedis?: true
  /** More of the policy. */
  readonly identity?: string
  readonly store?: string
  readonly access?: 'all'
  readonly limits?: (device: string) => string
  readonly allowance?: Allowance
}

const LIMITS = { refusal: 429, field: 'ratelimit' }

/** Limits of other paths, and with `device` as many as are asked for. */
function amongOthers(count: number): (device: string) => string {
  const other = (i: number) =>
    `  - {name: other-${i}, per: network, rate: 100/s, match: {path: /others/${i}/**, methods: [POST]}}`
  return (device) => [device, ...Array.from({ length: count - 1 }, (_, i) => other(i))].join('\n')
}

/** Sluice as `sluice serve -c file` runs it, in the cases that the design names. */
const SETTINGS: readonly Setting[] = [
  { name: 'sluice', title: 'Sluice, memory' },
  { name: 'sluice-log', title: 'Sluice, memory, access log on', access: 'all' },
  { name: 'sluice-cookieless', title: 'Sluice, memory, clients keep no cookies', clients: 'cookieless' },
  { name: 'sluice-million', title: 'Sluice, memory, 1,000,000 devices', clients: 'million' },
  {
    name: 'sluice-429',
    title: 'Sluice, memory, refusing',
    status: 429,
    allowance: { tokens: 2, isRefusing: true },
  },
  { name: 'sluice-5-limits', title: 'Sluice, memory, 5 limits', limits: amongOthers(5) },
  { name: 'sluice-1000-limits', title: 'Sluice, memory, 1,000 limits', limits: amongOthers(1000) },
  { name: 'sluice-redis', title: 'Sluice, Redis', isOnRedis: true },
  { name: 'sluice-redis-hot', title: 'Sluice, Redis, 10 keys', isOnRedis: true, clients: 'hot' },
]

export const SLUICE: readonly Contender[] = SETTINGS.map((setting) => sluice(setting))

/** The same cases, run by the build of another checkout: what a change costs is seen between the two, in one run. */
export function sluiceOf(folder: string, contenders: readonly Contender[]): readonly Contender[] {
  const wanted = SETTINGS.filter(({ name }) => contenders.some((contender) => contender.name === name))
  return wanted.map((setting) => sluice(setting, { suffix: BEFORE, folder }))
}

/** What the names of another build's contenders end with. */
export const BEFORE = '@before'
/** The program, in a checkout's folder. */
export const MAIN = 'dist/main.js'

function sluice(setting: Setting, build = { suffix: '', folder: '.' }): Contender {
  const { clients = 'known', status, isOnRedis } = setting
  const name = setting.name + build.suffix
  return {
    name,
    title: setting.title + build.suffix,
    needs: isOnRedis ? { redis: true } : {},
    limits: LIMITS,
    clients,
    ...(status === undefined ? {} : { status }),
    async start(around, allowance) {
      const port = await freePort()
      const file = join(around.folder, `${name}.${port}.yaml`)
      writeFileSync(file, policyOf({ ...setting, name }, port, around, setting.allowance ?? allowance))
      return startSluice(port, file, build.folder)
    },
  }
}

/** Runs `sluice serve` with a policy file that listens on a port. */
export function startSluice(port: number, file: string, folder = '.'): Promise<Server> {
  return startServer([process.execPath, join(folder, MAIN), 'serve', '-c', file], { port, isUnderTest: true })
}

function policyOf(setting: Setting, port: number, around: Surroundings, { tokens, isRefusing }: Allowance): string {
  const device = `  - {name: device, per: device, rate: ${tokens}${isRefusing ? '/h' : '/s'}, burst: ${tokens}}`
  const { isOnRedis, access = 'off', limits = (only: string) => only } = setting
  return `version: 1
listen: 127.0.0.1:${port}
admin: 127.0.0.1:0
upstream: {url: 'http://127.0.0.1:${around.upstreamPort}'}
identity: {secret: the-benchmark-signs-its-marks-with-this-one, trusted_proxies: [loopback]}
store: ${isOnRedis ? `{kind: redis, url: 'redis://127.0.0.1:${around.redis!.port}', key_prefix: '${setting.name}:'}` : '{kind: memory, max_buckets: 4000000}'}
limits:
${limits(device)}
log: {level: warn, access: '${access === 'all' ? 'all' : 'off'}'}
`
}
