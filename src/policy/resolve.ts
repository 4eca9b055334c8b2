import { type JsonWebKey, randomBytes } from 'node:crypto'
import type { FileContents } from './files.ts'
import { policyHash } from './policy-hash.ts'
import { resolveEntry, resolveLimit } from './resolve-limits.ts'
import type { PolicyFile } from './schema.ts'
import type {
  ClientAddressSource,
  IdentityPolicy,
  JwtPolicy,
  KnownNetwork,
  NetworkParent,
  Policy,
  RedisServers,
  ServerPolicy,
  StorePolicy,
  UpstreamPolicy,
} from './types.ts'
import { isSecure } from './url.ts'

type IdentityFile = PolicyFile['identity']

/** Turns a valid policy file, with what its other files say, into the policy that the rest of Sluice sees. */
export function resolve(file: PolicyFile, contents: FileContents): Policy {
  const policy: Omit<Policy, 'hash'> = {
    listen: file.listen,
    admin: file.admin,
    adminToken: contents.adminToken,
    upstream: resolveUpstream(file.upstream, contents.upstreamTls),
    server: resolveServer(file.server),
    store: resolveStore(file.store, contents),
    identity: resolveIdentity(file.identity, contents),
    exemptPreflight: file.exempt_preflight,
    exempt: file.exempt.map(resolveEntry),
    deny: file.deny.map((entry) => ({ ...resolveEntry(entry), status: entry.status })),
    limits: file.limits.map((limit) => resolveLimit(limit, file.store)),
    refuse: {
      retryJitter: file.refuse.retry_jitter,
      legacyHeaders: file.refuse.legacy_headers,
      body: contents.body,
      cors: { origins: file.refuse.cors.origins },
    },
    mode: file.mode,
    log: {
      level: file.log.level,
      access: file.log.access,
      sample: file.log.sample,
      clientAddress: file.log.client_address,
      path: file.log.path,
    },
  }
  return { hash: policyHash(policy), ...policy }
}

function resolveUpstream(upstream: PolicyFile['upstream'], pem: FileContents['upstreamTls']): UpstreamPolicy {
  return {
    url: upstream.url,
    tls: upstream.tls && { ...pem, serverName: upstream.tls.server_name },
    connectTimeout: upstream.connect_timeout,
    responseTimeout: upstream.response_timeout,
    idleTimeout: upstream.idle_timeout,
    keepAliveTimeout: upstream.keep_alive_timeout,
    maxConnections: upstream.max_connections,
    maxQueue: upstream.max_queue,
    queueTimeout: upstream.queue_timeout,
    maxStreams: upstream.max_streams,
    maxPerNetwork: upstream.max_per_network,
    maxHeaderBytes: upstream.max_header_bytes,
    maxHeaders: upstream.max_headers,
    responseBuffer: upstream.response_buffer,
    preserveHost: upstream.preserve_host,
    pathCase: upstream.path_case,
  }
}

function resolveServer(server: PolicyFile['server']): ServerPolicy {
  return {
    headerTimeout: server.header_timeout,
    minRate: server.min_rate,
    minRateGrace: server.min_rate_grace,
    requestBuffer: server.request_buffer,
    keepAliveTimeout: server.keep_alive_timeout,
    maxHeaderBytes: server.max_header_bytes,
    maxHeaders: server.max_headers,
    maxConnections: server.max_connections,
    drainDelay: server.drain_delay,
    drainTimeout: server.drain_timeout,
    workers: server.workers,
    methodOverride: server.method_override,
  }
}

function resolveStore(store: PolicyFile['store'], { password, storeCa }: FileContents): StorePolicy {
  if (store.kind === 'memory') return { kind: 'memory', maxBuckets: store.max_buckets }
  const servers = resolveServers(store)
  const isTls =
    store.tls !== null ||
    (servers.kind !== 'sentinel' && isSecure(servers.kind === 'single' ? servers.url : servers.nodes[0]!))
  return {
    kind: 'redis',
    maxBuckets: store.max_buckets,
    servers,
    password,
    tls: isTls ? { ca: storeCa } : null,
    keyPrefix: store.key_prefix,
    timeout: store.timeout,
    onError: store.on_error,
    expectedInstances: store.expected_instances,
    lease: store.lease,
  }
}

function resolveServers({ url, cluster, sentinel }: PolicyFile['store']): RedisServers {
  if (url !== null) return { kind: 'single', url }
  if (cluster !== null) return { kind: 'cluster', nodes: cluster }
  if (sentinel !== null) return { kind: 'sentinel', ...sentinel }
  throw new Error('a redis store without an address has passed the rules')
}

function resolveIdentity(identity: IdentityFile, contents: FileContents): IdentityPolicy {
  const [first, ...others] = contents.secrets
  const { network, device_cookie: cookie, api_keys: keys, client_certificate: certificate } = identity
  return {
    secrets: first === undefined ? [randomBytes(32).toString('hex')] : [first, ...others],
    secretIsRandom: first === undefined,
    trustedProxies: [...new Set(identity.trusted_proxies.flat())],
    clientAddress: resolveClientAddress(identity.client_address),
    admission: {
      maxDevices: identity.admission.max_devices,
      burst: identity.admission.burst,
      rate: identity.admission.rate,
      idle: identity.admission.idle,
    },
    network: {
      ipv4: network.ipv4,
      ipv6: network.ipv6,
      ipv6Parents: resolveParents(network.ipv6_parents, network.ipv6),
    },
    deviceCookie: {
      enabled: cookie.enabled,
      maxAge: cookie.max_age,
      sameSite: cookie.same_site,
      tokenHeader: cookie.token_header,
    },
    jwt: identity.jwt.map((issuer, index) => resolveJwt(issuer, contents.jwks[index] ?? [])),
    apiKeys: keys && { header: keys.header, principals: contents.principals, enrolment: keys.enrolment },
    clientCertificate: certificate && { ...certificate, field: certificate.field?.toLowerCase() ?? null },
    networks: identity.networks.map((known) => resolveNetwork(known, network.ipv6)),
  }
}

function resolveJwt(issuer: IdentityFile['jwt'][number], set: readonly JsonWebKey[]): JwtPolicy {
  return {
    issuer: issuer.issuer,
    audiences: typeof issuer.audience === 'string' ? [issuer.audience] : issuer.audience,
    keys: issuer.jwks_url === null ? { set } : { url: issuer.jwks_url },
    algorithms: issuer.algorithms,
    principal: issuer.principal,
    enrolment: issuer.enrolment,
  }
}

function resolveNetwork(known: IdentityFile['networks'][number], ipv6: number): KnownNetwork {
  return {
    cidr: known.cidr,
    maxDevices: known.max_devices,
    ipv6Parents: known.ipv6_parents && resolveParents(known.ipv6_parents, ipv6),
    note: known.note,
  }
}

/** Nearest first. One that is no wider than a network can only come from the default, where networks are wide. */
function resolveParents(parents: readonly NetworkParent[], ipv6: number): readonly NetworkParent[] {
  return parents.filter(({ prefix }) => prefix < ipv6).sort((a, b) => b.prefix - a.prefix)
}

function resolveClientAddress(word: string): ClientAddressSource {
  if (word === 'x-forwarded-for' || word === 'forwarded' || word === 'peer') return { kind: word }
  return { kind: 'header', header: word }
}
