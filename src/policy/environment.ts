import { nearest } from './nearest.ts'
import { type Path, pathText } from './path.ts'
import type { Env } from './substitute.ts'

/** What the environment says in place of the file. `drop` are the keys that would say the same in another way. */
const OVERRIDES: readonly {
  readonly name: string
  readonly path: readonly string[]
  readonly drop?: readonly string[]
}[] = [
  { name: 'SLUICE_UPSTREAM', path: ['upstream', 'url'] },
  { name: 'SLUICE_LISTEN', path: ['listen'] },
  { name: 'SLUICE_ADMIN', path: ['admin'] },
  { name: 'SLUICE_ADMIN_TOKEN', path: ['admin_token'], drop: ['admin_token_file'] },
  { name: 'SLUICE_REDIS_URL', path: ['store', 'url'], drop: ['cluster', 'sentinel'] },
  { name: 'SLUICE_SECRET', path: ['identity', 'secret'], drop: ['secret_file'] },
  { name: 'SLUICE_TRUSTED_PROXIES', path: ['identity', 'trusted_proxies'] },
  { name: 'SLUICE_LOG_LEVEL', path: ['log', 'level'] },
]

/** What the program itself reads of the environment, besides. */
const OTHER_VARIABLES = ['SLUICE_CONFIG']

/**
 * Variables that are set and named almost as one that is known: their names, and what was meant. Others that begin alike are somebody
 * else's, such as those that Kubernetes sets for a service of the name sluice. `used`: what the policy file asks for by ${NAME}.
 */
export function misspeltVariables(env: Env, used: ReadonlySet<string>): readonly { name: string; meant: string }[] {
  const known = [...OVERRIDES.map(({ name }) => name), ...OTHER_VARIABLES]
  return Object.keys(env).flatMap((name) => {
    if (!/^SLUICE_/i.test(name) || known.includes(name) || used.has(name) || !env[name]) return []
    const rest = (text: string) => text.slice('SLUICE_'.length).toLowerCase()
    const meant = nearest(rest(name), known.map(rest))
    return meant === undefined ? [] : [{ name, meant: `SLUICE_${meant.toUpperCase()}` }]
  })
}

/** Variables whose values must never be shown. */
const SECRET_VARIABLES = ['SLUICE_SECRET', 'SLUICE_ADMIN_TOKEN']

/**
 * Puts the environment's overrides into the data of a file (in place) and gives the name of the variable for each path
 * that was set. An empty variable counts as unset. A section that is no map is left alone: it is a problem of its own.
 */
export function override(root: Record<string, unknown>, env: Env): ReadonlyMap<string, string> {
  const origins = new Map<string, string>()
  for (const { name, path, drop } of OVERRIDES) {
    const text = envValue(env, name)
    if (text === undefined) continue
    set(root, path, name === 'SLUICE_TRUSTED_PROXIES' ? listOf(text) : text, drop)
    origins.set(pathText(path), name)
    if (name !== 'SLUICE_REDIS_URL') continue
    set(root, ['store', 'kind'], 'redis')
    origins.set('store.kind', name)
  }
  return origins
}

/** The variable that set the value at a path, or a part of it. */
export function originOf(origins: ReadonlyMap<string, string>, path: Path): string | undefined {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(pathText(path.slice(0, length)))
    if (origin !== undefined) return origin
  }
  return undefined
}

/** The values of the environment that must never be shown: known secrets, and what `variables` with telling names hold. */
export function secretsOf(env: Env, variables: Iterable<string>): string[] {
  const telling = [...variables].filter((name) => /secret|token|pass|pwd|key|credential/i.test(name))
  return [...SECRET_VARIABLES, ...telling].flatMap((name) => envValue(env, name) ?? [])
}

function set(
  root: Record<string, unknown>,
  path: readonly string[],
  value: unknown,
  drop: readonly string[] = [],
): void {
  let map = root
  for (const key of path.slice(0, -1)) {
    map[key] ??= Object.create(null)
    const next = map[key]
    if (typeof next !== 'object' || Array.isArray(next)) return
    map = next as Record<string, unknown>
  }
  for (const key of drop) delete map[key]
  map[path.at(-1)!] = value
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function envValue(env: Env, name: string): string | undefined {
  return Object.hasOwn(env, name) ? env[name] || undefined : undefined
}
