import type { JsonWebKey } from 'node:crypto'

/**
 * The policy as the rest of Sluice sees it: checked, with every default filled in and every unit resolved.
 * Durations are milliseconds and sizes bytes, unless the name says otherwise. The words are those of the YAML file.
 */
export type Policy = {
  /** The first 12 hex digits of a SHA-256 over the resolved policy without its secrets: names it in logs and answers. */
  readonly hash: string
  readonly listen: HostPort
  readonly admin: HostPort
  readonly adminToken: string | null
  readonly upstream: UpstreamPolicy
  readonly server: ServerPolicy
  readonly store: StorePolicy
  readonly identity: IdentityPolicy
  readonly exemptPreflight: boolean
  readonly exempt: readonly ExemptEntry[]
  readonly deny: readonly DenyEntry[]
  readonly limits: readonly Limit[]
  readonly refuse: RefusePolicy
  readonly mode: Mode
  readonly log: LogPolicy
}

export type Mode = 'enforce' | 'shadow'
export type OnError = 'local' | 'allow' | 'deny'
export type Lease = 'auto' | 'off'
export type Enrolment = 'controlled' | 'open'

/** `host` is an IP address or a name to bind; an IPv6 address stands without its brackets. Port 0 asks for a free one. */
export type HostPort = { readonly host: string; readonly port: number }

export type UpstreamPolicy = {
  /** `http://host:port` or `https://host:port` without a path, or `unix:/path.sock`. */
  readonly url: string
  /** How an https:// upstream is spoken to; null where nothing is said of it. */
  readonly tls: UpstreamTls | null
  readonly connectTimeout: number
  readonly responseTimeout: number
  readonly idleTimeout: number
  readonly keepAliveTimeout: number
  readonly maxConnections: number
  readonly maxQueue: number
  readonly queueTimeout: number
  readonly maxStreams: number
  /** A share between 0 and 1 of connections, of the queue, and of streams. */
  readonly maxPerNetwork: number
  /** Of a response's header. */
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  /** Bytes of a response. */
  readonly responseBuffer: number
  readonly preserveHost: boolean
  readonly pathCase: PathCase
}

/** Whether a client may name another method or target in a header: the header is removed, counted by too, or ignored. */
export type MethodOverride = 'strip' | 'match' | 'pass'

/** Whether the upstream takes `/Login` for `/login`. */
export type PathCase = 'insensitive' | 'sensitive'

/** PEM texts, null where the system's authorities, no certificate of ours, or the name in the URL will do. */
export type UpstreamTls = {
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  readonly serverName: string | null
}

export type ServerPolicy = {
  readonly headerTimeout: number
  /** Bytes a second; 0 for no such rate. */
  readonly minRate: number
  readonly minRateGrace: number
  /** Bytes of a request's body. */
  readonly requestBuffer: number
  readonly keepAliveTimeout: number
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly maxConnections: number
  readonly drainDelay: number
  readonly drainTimeout: number
  /** Processes; `auto` is one per core. */
  readonly workers: number | 'auto'
  readonly methodOverride: MethodOverride
}

export type StorePolicy = MemoryStorePolicy | RedisStorePolicy

export type MemoryStorePolicy = { readonly kind: 'memory'; readonly maxBuckets: number }

export type RedisStorePolicy = {
  readonly kind: 'redis'
  /** Bounds the buckets that are kept in process while Redis is away. */
  readonly maxBuckets: number
  readonly servers: RedisServers
  /** Of the servers, where their addresses hold none; sentinels are asked without one. */
  readonly password: string | null
  /** TLS where not null: `ca` are the certificates (PEM) to trust, null for the public ones. */
  readonly tls: { readonly ca: string | null } | null
  readonly keyPrefix: string
  readonly timeout: number
  readonly onError: OnError
  readonly expectedInstances: number
  readonly lease: Lease
}

/** Where Redis is: `redis[s]://[user[:password]@]host[:port][/db]`, some nodes of a cluster, or sentinels that know a primary. */
export type RedisServers =
  | { readonly kind: 'single'; readonly url: string }
  | { readonly kind: 'cluster'; readonly nodes: readonly string[] }
  | { readonly kind: 'sentinel'; readonly name: string; readonly nodes: readonly HostPort[] }

export type IdentityPolicy = {
  /** At least one: the first signs, the last names buckets. Random where the policy gives none (`secretIsRandom`). */
  readonly secrets: readonly [string, ...string[]]
  readonly secretIsRandom: boolean
  /** CIDRs in canonical text, names such as private or cloudflare already replaced by their networks. */
  readonly trustedProxies: readonly string[]
  readonly clientAddress: ClientAddressSource
  readonly network: NetworkPolicy
  readonly deviceCookie: DeviceCookiePolicy
  readonly jwt: readonly JwtPolicy[]
  readonly apiKeys: ApiKeysPolicy | null
  readonly clientCertificate: ClientCertificatePolicy | null
  readonly networks: readonly KnownNetwork[]
  readonly admission: AdmissionPolicy
}

/** The prefixes that make a network; the wider ones an IPv6 network lies in, longest prefix first. */
export type NetworkPolicy = {
  readonly ipv4: number
  readonly ipv6: number
  readonly ipv6Parents: readonly NetworkParent[]
}

/** `factor`: what the wider network is allowed, as a multiple of one network's. */
export type NetworkParent = { readonly prefix: number; readonly factor: number }

export type DeviceCookiePolicy = {
  readonly enabled: boolean
  readonly maxAge: number
  readonly sameSite: 'lax' | 'strict' | 'none'
  /** Lower-case field name that carries the same value for clients without cookies. */
  readonly tokenHeader: string
}

/** A network that is known: what is null is as for any other. */
export type KnownNetwork = {
  /** In canonical text, never narrower than a network. */
  readonly cidr: string
  readonly maxDevices: number | null
  readonly ipv6Parents: readonly NetworkParent[] | null
  readonly note: string | null
}

/** How fast one network brings new members, how many it may have at a time, and how long one stays without a request. */
export type AdmissionPolicy = {
  readonly maxDevices: number
  readonly burst: number
  readonly rate: Rate
  readonly idle: number
}

/** Where the client's address is read when the peer is trusted. `header` is a lower-case field name. */
export type ClientAddressSource =
  | { readonly kind: 'x-forwarded-for' }
  | { readonly kind: 'forwarded' }
  | { readonly kind: 'peer' }
  | { readonly kind: 'header'; readonly header: string }

export type ApiKeysPolicy = {
  /** Lower-case field name that carries the key. */
  readonly header: string
  /** SHA-256 of each key (64 lower-case hex digits) -> the principal's name; keys of one name share one principal. */
  readonly principals: ReadonlyMap<string, string>
  readonly enrolment: Enrolment
}

/** An issuer of tokens that are verified (RFC 7519). */
export type JwtPolicy = {
  readonly issuer: string
  /** A token must be meant for one of them. */
  readonly audiences: readonly string[]
  /** Where its keys come from: an address to fetch them from, or the keys of a file. */
  readonly keys: { readonly url: string } | { readonly set: readonly JsonWebKey[] }
  readonly algorithms: readonly JwtAlgorithm[]
  /** The claims whose values together name the principal. */
  readonly principal: readonly string[]
  readonly enrolment: Enrolment
}

/** Signatures by a private key (RFC 7518, RFC 8037). A shared secret is none: who can verify could sign. */
export const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number]

export type ClientCertificatePolicy = {
  /** Lower-case field name. */
  readonly header: string
  /** The part of Envoy's X-Forwarded-Client-Cert to go by, in lower case; null where the field's whole value is meant. */
  readonly field: string | null
  readonly enrolment: Enrolment
}

/** What a request must look like. Every part given must hold; a list holds when one of its members does. Empty matches all. */
export type Match = {
  /** Patterns as written: `*` for one segment or within one, `**` for any number of them, none included, `{a,b}`. */
  readonly paths: readonly string[]
  /** Upper-case methods. */
  readonly methods: readonly string[]
  /** Methods that do not match; `methods` is empty then. */
  readonly notMethods: readonly string[]
  /** Lower-case host names without a port; `*.example.com` stands for any name below it. */
  readonly hosts: readonly string[]
  /** Lower-case field name and the value wanted: exact, or with `*` for any run of characters; null where the field must be absent. */
  readonly headers: readonly { readonly name: string; readonly value: string | null }[]
}

export type ExemptEntry = {
  readonly name: string
  readonly cidr: readonly string[]
  readonly match: Match
  /** Milliseconds since the epoch, after which the entry no longer holds; null never. */
  readonly until: number | null
  readonly reason: string | null
}

export type DenyEntry = ExemptEntry & { readonly status: number }

/** Whom a limit counts for itself; a list names a bucket by all that it names together. */
export type Per = 'device' | 'network' | 'principal' | 'global' | readonly Source[]

/** What a request can be told by. Field names are lower case; `segment` counts a path's segments from 1. */
export type Source =
  | { readonly kind: 'header' | 'cookie' | 'query' | 'claim'; readonly name: string }
  | { readonly kind: 'path'; readonly segment: number }
  | { readonly kind: 'host' | 'method' | 'device' | 'network' }

export type OnMissing = 'skip' | 'share' | 'deny'

/** `tokens` every `seconds`: kept as the two whole numbers that were written, so that arithmetic stays exact. */
export type Rate = { readonly tokens: number; readonly seconds: number }

/** How well a client is known, as the policy says it; `anonymous` includes clients that show nothing usable. */
export type TierName = 'anonymous' | 'token' | 'known' | 'principal'

export type Limit = {
  readonly name: string
  readonly per: Per
  /** The tiers that it counts; null for all. */
  readonly tiers: readonly TierName[] | null
  readonly rate: Rate
  /** Tokens. */
  readonly burst: number
  readonly match: Match
  /** Tokens a request takes. */
  readonly cost: number
  readonly mode: Mode
  /** Whether the limit shows in the RateLimit fields. */
  readonly headers: boolean
  /** Per device only, also within a list: what the unproved devices of one network share. */
  readonly newcomers: { readonly rate: Rate; readonly burst: number } | null
  /** Per device only, also within a list: what the proved devices of one network share: `base`, and `perDevice` for each; null derives both. */
  readonly members: { readonly base: Rate; readonly perDevice: Rate } | null
  /** What happens to a client that leaves the source out; null where none can. */
  readonly onMissing: OnMissing | null
  /** What happens while the store is away; the store's own where the limit says nothing. */
  readonly onError: OnError
  readonly lease: Lease
}

export type RefusePolicy = {
  /** A share between 0 and 1 by which Retry-After is spread upwards. */
  readonly retryJitter: number
  readonly legacyHeaders: 'off' | 'epoch' | 'delta'
  /** The template that replaces the problem document, with the media type its file name implies. */
  readonly body: { readonly text: string; readonly type: string } | null
  /** `*` or origins; listed origins get credentials. */
  readonly cors: { readonly origins: readonly string[] }
}

export type LogPolicy = {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  readonly access: 'all' | 'refused' | 'off'
  /** A share between 0 and 1 of the forwarded requests that get an access line. */
  readonly sample: number
  readonly clientAddress: boolean
  /** Whether access lines bear the host and the path without its query. */
  readonly path: boolean
}
