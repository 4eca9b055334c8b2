import { randomBytes } from 'node:crypto'
import type { FileContents } from './files.ts'
import { policyHash } from './policy-hash.ts'
import { resolveEntry, resolveLimit } from './resolve-limits.ts'
import type { PolicyFile } from './schema.ts'
import type { ClientAddressSource, IdentityPolicy, Policy, ServerPolicy, StorePolicy, UpstreamPolicy } from './types.ts'

/** Turns a valid policy file, with what its other files say, into the policy that the rest of Sluice sees. */
export function resolve(file: PolicyFile, contents: FileContents): Policy {
  const policy: Omit<Policy, 'hash'> = {
    listen: file.listen,
    admin: file.admin,
    adminToken: contents.adminToken,
    upstream: resolveUpstream(file.upstream, contents.upstreamTls),
    server: resolveServer(file.server),
    store: resolveStore(file.store, contents.password),
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
    maxStreams: upstream.max_streams,
    preserveHost: upstream.preserve_host,
  }
}

function resolveServer(server: PolicyFile['server']): ServerPolicy {
  return {
    headerTimeout: server.header_timeout,
    requestTimeout: server.request_timeout,
    keepAliveTimeout: server.keep_alive_timeout,
    maxHeaderBytes: server.max_header_bytes,
    maxHeaders: server.max_headers,
    maxConnections: server.max_connections,
    drainDelay: server.drain_delay,
    drainTimeout: server.drain_timeout,
  }
}

function resolveStore(store: PolicyFile['store'], password: string | null): StorePolicy {
  if (store.kind === 'memory') return { kind: 'memory', maxBuckets: store.max_buckets }
  if (store.url === null) throw new Error('a redis store without an address has passed the rules')
  return {
    kind: 'redis',
    maxBuckets: store.max_buckets,
    url: store.url,
    password,
    keyPrefix: store.key_prefix,
    timeout: store.timeout,
    onError: store.on_error,
    expectedInstances: store.expected_instances,
    lease: store.lease,
  }
}

function resolveIdentity(identity: PolicyFile['identity'], contents: FileContents): IdentityPolicy {
  const [first, ...others] = contents.secrets
  const keys = identity.api_keys
  return {
    secrets: first === undefined ? [randomBytes(32).toString('hex')] : [first, ...others],
    secretIsRandom: first === undefined,
    trustedProxies: [...new Set(identity.trusted_proxies.flat())],
    clientAddress: resolveClientAddress(identity.client_address),
    network: { ipv4: identity.network.ipv4, ipv6: identity.network.ipv6 },
    apiKeys: keys && { header: keys.header, principals: contents.principals, enrolment: keys.enrolment },
  }
}

function resolveClientAddress(word: string): ClientAddressSource {
  if (word === 'x-forwarded-for' || word === 'forwarded' || word === 'peer') return { kind: word }
  return { kind: 'header', header: word }
}
