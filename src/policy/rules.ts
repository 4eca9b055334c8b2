import type { Draft, IsGiven, Report } from './draft.ts'
import { checkIdentity, warnAboutIdentity } from './rules-identity.ts'
import { checkLimits, checkNames, warnAboutLimits } from './rules-limits.ts'
import { warnAboutReach } from './rules-reach.ts'
import type { HostPort } from './types.ts'
import { isSecure } from './url.ts'

/** The shortest secret, in bytes: what HMAC-SHA256 makes full use of. */
export const MIN_SECRET_BYTES = 32

/** The keys that say where Redis is: one of them must. */
const ADDRESSES = ['url', 'cluster', 'sentinel']
/** What `store` knows for Redis alone. */
export const REDIS_ONLY = [
  ...ADDRESSES,
  'tls',
  'password',
  'password_file',
  'key_prefix',
  'timeout',
  'on_error',
  'expected_instances',
  'lease',
]

const NO_SECRET =
  'is not given, so a random one is used and device names change with every start; write at least 32 bytes, or set SLUICE_SECRET'

const NO_REQUEST_TIMEOUT =
  'is not used any more, since it cut off steady slow uploads; leave it out: server.min_rate cuts off those that stop'

/** What must hold between keys. Each rule looks at what could be read, so that one mistake does not hide another. */
export function checkRules(draft: Draft, isGiven: IsGiven, report: Report): void {
  checkPorts(draft, report)
  checkUpstream(draft, isGiven, report)
  checkStore(draft, isGiven, report)
  checkFiles(isGiven, report)
  checkNames(draft, 'exempt', report)
  checkNames(draft, 'deny', report)
  checkLimits(draft, report)
  checkOrigins(draft, report)
  checkIdentity(draft, isGiven, report)
}

/** What is odd without being wrong. `now` is in milliseconds since the epoch. */
export function warnAbout(draft: Draft, isGiven: IsGiven, now: number, warn: Report): void {
  if (!hasSecret(draft, isGiven)) warn(['identity', 'secret'], NO_SECRET)
  if (isGiven(['server', 'request_timeout'])) warn(['server', 'request_timeout'], NO_REQUEST_TIMEOUT)
  warnAboutIdentity(draft, isGiven, warn)
  warnAboutLimits(draft, warn)
  warnAboutReach(draft, warn)
  for (const list of ['exempt', 'deny'] as const) {
    for (const [index, entry] of (draft[list] ?? []).entries()) {
      if (typeof entry?.until !== 'number' || entry.until > now) continue
      warn(
        [list, index, 'until'],
        'has passed, so the entry no longer holds; leave the entry out, or write a later date',
      )
    }
  }
}

/** Whether the policy gives a secret of its own, directly or in a file. */
function hasSecret(draft: Draft, isGiven: IsGiven): boolean {
  return isGiven(['identity', 'secret_file']) || draft.identity?.secret === undefined || !isNone(draft.identity.secret)
}

function checkPorts({ listen, admin }: Draft, report: Report): void {
  const open = listen as HostPort | undefined
  const closed = admin as HostPort | undefined
  if (open?.port !== closed?.port || open === undefined || closed === undefined || open.port === 0) return
  const isShared = open.host === closed.host || isEverywhere(open.host) || isEverywhere(closed.host)
  if (isShared) report(['admin'], `has the port ${open.port} of listen; write another port`)
}

function checkUpstream({ upstream }: Draft, isGiven: IsGiven, report: Report): void {
  if (!isGiven(['upstream', 'tls']) || upstream?.tls === null) return
  if (upstream?.url !== undefined && !upstream.url.startsWith('https:')) {
    report(['upstream', 'tls'], 'is for an upstream with https://; write url: https://host:port, or leave tls out')
  }
  const { cert_file, key_file } = upstream?.tls ?? {}
  const write = 'write both, or neither'
  if (cert_file && key_file === null) report(['upstream', 'tls', 'cert_file'], `is given without key_file; ${write}`)
  if (key_file && cert_file === null) report(['upstream', 'tls', 'key_file'], `is given without cert_file; ${write}`)
}

function checkStore(draft: Draft, isGiven: IsGiven, report: Report): void {
  const { store } = draft
  if (store?.kind === 'memory') {
    for (const key of REDIS_ONLY) {
      if (isGiven(['store', key]))
        report(['store', key], 'is for a store of kind redis; write kind: redis, or leave it out')
    }
  }
  if (store?.kind !== 'redis') return
  const given = ADDRESSES.filter((key) => isGiven(['store', key]))
  if (given.length === 0) report(['store', 'url'], 'is missing, and kind: redis needs it; write redis://host:6379')
  for (const key of given.slice(1)) report(['store', key], `is given beside ${given[0]}; keep one of them`)
  checkStoreTls(store, report)
  if (!hasSecret(draft, isGiven)) {
    report(
      ['store', 'kind'],
      'redis needs a secret, because instances must agree on the names of buckets; write identity.secret or identity.secret_file',
    )
  }
}

function checkStoreTls({ url, cluster, tls }: NonNullable<Draft['store']>, report: Report): void {
  const nodes = (cluster ?? []).filter((node) => node !== undefined)
  const odd = nodes.findIndex((node) => isSecure(node) !== isSecure(nodes[0]!))
  if (odd > 0) {
    const write = 'write rediss:// (TLS) in front of all nodes, or of none'
    report(['store', 'cluster', odd], `has another scheme than the nodes before it; ${write}`)
  }
  const plain = typeof url === 'string' ? url : nodes[0]
  if (!tls || plain === undefined || isSecure(plain)) return
  report(['store', 'tls'], 'is given, but the address says redis://, which is no TLS; write rediss:// in front of it')
}

function checkFiles(isGiven: IsGiven, report: Report): void {
  const pairs = [['admin_token'], ['identity', 'secret'], ['store', 'password']]
  for (const path of pairs) {
    const key = path.at(-1)!
    const filePath = [...path.slice(0, -1), `${key}_file`]
    if (isGiven(path) && isGiven(filePath)) report(filePath, `is given beside ${key}; keep one of them`)
  }
}

function checkOrigins({ refuse }: Draft, report: Report): void {
  const origins = refuse?.cors?.origins ?? []
  if (!origins.includes('*') || origins.length < 2) return
  report(
    ['refuse', 'cors', 'origins', origins.indexOf('*')],
    "'*' stands beside other origins; write '*' alone, or only origins",
  )
}

function isEverywhere(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

function isNone(secret: unknown): boolean {
  return secret === null || secret === '' || (Array.isArray(secret) && secret.every(isNone))
}
