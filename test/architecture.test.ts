import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** Holds the direction of design section 3: lower never imports higher, no circles. */

const SRC = join(dirname(fileURLToPath(import.meta.url)), '../src')

type Source = {
  /** Modules it names, types included: those of src by their path from there, others by their package. */
  readonly imports: readonly string[]
  readonly packages: readonly string[]
  /** Without its comments. */
  readonly code: string
}

function readSource(file: string): Source {
  const code = readFileSync(join(SRC, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[\s;{}])\/\/.*$/gm, '$1')
  const names = [...code.matchAll(/\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map((match) => match[1]!)
  const isLocal = (name: string) => name.startsWith('.')
  return {
    imports: names.filter(isLocal).map((name) => posix.join(posix.dirname(file), name)),
    packages: names.filter((name) => !isLocal(name)).map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)![0]),
    code,
  }
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
const sources: ReadonlyMap<string, Source> = new Map(files.map((file) => [file, readSource(file)]))

/** From the lowest to the highest; a file is of the first level that names it or its folder. */
const LEVELS: readonly (readonly string[])[] = [
  ['errors.ts', 'clock.ts', 'log.ts', 'line-sink.ts', 'version.ts'],
  [
    'policy/types.ts',
    'http/facts.ts',
    'http/fields.ts',
    'http/authority.ts',
    'http/remember-few.ts',
    'http/target.ts',
    'http/path-readings.ts',
    'limiter/bucket.ts',
    'limiter/store.ts',
  ],
  ['identity/', 'policy/', 'http/', 'http1/'],
  ['limiter/', 'stores/', 'metrics/'],
  ['proxy/', 'explain/', 'admin/'],
  ['app.ts', 'replay/'],
  ['workers/'],
  ['commands/'],
  ['main.ts', 'start.ts'],
]

function levelOf(file: string): number {
  return LEVELS.findIndex((places) =>
    places.some((place) => file === place || (place.endsWith('/') && file.startsWith(place))),
  )
}

/** The imports that a rule forbids, as `file -> file`. */
function violations(isForbidden: (from: string, to: string) => boolean): string[] {
  const found: string[] = []
  for (const [from, { imports }] of sources) {
    for (const to of imports) if (isForbidden(from, to)) found.push(`${from} -> ${to}`)
  }
  return found
}

const isDemo = (file: string) => file.startsWith('demo/')

t.test('the imports are seen at all', async (t) => {
  t.ok(files.length > 30)
  t.ok(sources.get('app.ts')!.imports.includes('proxy/server.ts'))
  t.ok(sources.get('log.ts')!.packages.includes('pino'))
  for (const [from, { imports }] of sources) {
    for (const to of imports) t.ok(sources.has(to) || to.endsWith('.json'), `${from} -> ${to} is a file of src`)
  }
})

t.test('each file has its level', async (t) => {
  t.same(
    files.filter((file) => !isDemo(file) && levelOf(file) === -1),
    [],
  )
})

t.test('lower never imports higher', async (t) => {
  t.same(
    violations((from, to) => !isDemo(from) && !isDemo(to) && levelOf(to) > levelOf(from)),
    [],
  )
})

t.test('no files import each other in a circle', async (t) => {
  const done = new Set<string>()
  function circleFrom(file: string, path: readonly string[]): readonly string[] | null {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return null
    for (const next of sources.get(file)?.imports ?? []) {
      const circle = circleFrom(next, [...path, file])
      if (circle !== null) return circle
    }
    done.add(file)
    return null
  }
  for (const file of files) t.equal(circleFrom(file, [])?.join(' -> ') ?? null, null, file)
})

t.test('limiter knows stores by its own interface, which is all that stores know of it', async (t) => {
  t.same(
    violations((from, to) => from.startsWith('limiter/') && to.startsWith('stores/')),
    [],
  )
  const known = ['limiter/store.ts', 'limiter/bucket.ts']
  t.same(
    violations((from, to) => from.startsWith('stores/') && to.startsWith('limiter/') && !known.includes(to)),
    [],
  )
})

t.test('only the composition roots pick a store', async (t) => {
  t.same(
    violations((from, to) => {
      const isRoot = ['app.ts', 'workers/lending.ts', 'commands/explain.ts', 'replay/engine.ts'].includes(from)
      return to.startsWith('stores/') && !from.startsWith('stores/') && !isRoot
    }),
    [],
  )
})

t.test('what several workers need is loaded when they are wanted', async (t) => {
  const isOutside = (file: string) => !file.startsWith('workers/')
  const loaders = files.filter((file) => isOutside(file) && / from '[^']*\/workers\//.test(sources.get(file)!.code))
  t.same(loaders, [])
  t.same(violations((from, to) => isOutside(from) && to.startsWith('workers/')).sort(), [
    'commands/serve.ts -> workers/primary.ts',
    'main.ts -> workers/worker.ts',
  ])
})

t.test('the demo stands for itself: it takes errors and log, and only npm start takes it', async (t) => {
  t.same(
    violations((from, to) => isDemo(from) && !isDemo(to) && !['errors.ts', 'log.ts'].includes(to)),
    [],
  )
  t.same(
    violations((from, to) => isDemo(to) && !isDemo(from) && from !== 'start.ts'),
    [],
  )
})

const HOMES: readonly (readonly [name: string, ...homes: string[]])[] = [
  ['http-proxy', 'proxy/upgrade.ts'],
  ['ioredis', 'stores/redis-client.ts', 'demo/queue/redis.ts', 'demo/redis-connection.ts'],
  ['prom-client', 'metrics/', 'demo/metrics.ts'],
  ['pino', 'log.ts', 'demo/'],
  ['bullmq', 'demo/queue/redis.ts'],
  ['classic-level', 'demo/storage/journal.ts'],
  ['jackd', 'demo/queue/beanstalkd.ts'],
  ['@aws-sdk/client-sqs', 'demo/queue/sqs.ts'],
  ['yaml', 'policy/'],
  ['zod', 'policy/'],
]

for (const [name, ...homes] of HOMES) {
  t.test(`${name} is imported in ${homes.join(' and ')} only`, async (t) => {
    const users = files.filter((file) => sources.get(file)!.packages.includes(name))
    t.ok(users.length > 0)
    t.same(
      users.filter((file) => !homes.some((home) => file === home || (home.endsWith('/') && file.startsWith(home)))),
      [],
    )
  })
}

t.test('what only the demo needs is an optional dependency, and nothing else is', async (t) => {
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  const users = (name: string) =>
    files.filter((file) => sources.get(file)!.packages.some((one) => one === name || one.startsWith(`${name}/`)))
  // Served as a file by the admin page.
  const proxied = Object.keys(dependencies).filter((name) => name !== 'uplot')
  t.same(
    proxied.filter((name) => users(name).every(isDemo)),
    [],
  )
  t.same(
    Object.keys(optionalDependencies).filter((name) => users(name).length === 0 || !users(name).every(isDemo)),
    [],
  )
})

t.test('the environment and the exit code are for the entry points', async (t) => {
  const entries = ['main.ts', 'start.ts', 'demo/main.ts', 'demo/worker-main.ts']
  for (const pattern of [/\bprocess\.env\b/, /\bprocess\.exit(?:Code)?\b/, /\{[^}]*\benv\b[^}]*\} = process\b/]) {
    t.same(
      files.filter((file) => pattern.test(sources.get(file)!.code) && !entries.includes(file)),
      [],
      String(pattern),
    )
  }
})

t.test('no file is a drawer', async (t) => {
  const drawers = /^_?(?:utils?|helpers?|common|misc|shared|.*(?:manager|impl))\.ts$/i
  t.same(
    files.filter((file) => drawers.test(basename(file))),
    [],
  )
  t.same(
    files.filter((file) => !/^(?:[a-z0-9-]+\/)*[a-z0-9-]+\.ts$/.test(file)),
    [],
    'kebab-case',
  )
})
