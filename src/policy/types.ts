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
  readonly maxStreams: number
  readonly preserveHost: boolean
}

/** PEM texts, null where the system's authorities, no certificate of ours, or the name in the URL will do. */
export type UpstreamTls = {
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
  readonly serverName: string | null
}

export type ServerPolicy = {
  readonly headerTimeout: number
  readonly requestTimeout: number
  readonly keepAliveTimeout: number
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly maxConnections: number
  readonly drainDelay: number
  readonly drainTimeout: number
}

export type StorePolicy = MemoryStorePolicy | RedisStorePolicy

export type MemoryStorePolicy = { readonly kind: 'memory'; readonly maxBuckets: number }

export type RedisStorePolicy = {
  readonly kind: 'redis'
  /** Bounds the buckets that are kept in process while Redis is away. */
  readonly maxBuckets: number
  /** `redis://[user[:password]@]host[:port][/db]` */
  readonly url: string
  readonly password: string | null
  readonly keyPrefix: string
  readonly timeout: number
  readonly onError: OnError
  readonly expectedInstances: number
  readonly lease: Lease
}

export type IdentityPolicy = {
  /** At least one: the first signs, the last names buckets. Random where the policy gives none (`secretIsRandom`). */
  readonly secrets: readonly [string, ...string[]]
  readonly secretIsRandom: boolean
  /** CIDRs in canonical text, the names loopback, linklocal and private already replaced by theirs. */
  readonly trustedProxies: readonly string[]
  readonly clientAddress: ClientAddressSource
  readonly network: { readonly ipv4: number; readonly ipv6: number }
  readonly apiKeys: ApiKeysPolicy | null
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

/** What a request must look like. Every part given must hold; a list holds when one of its members does. Empty matches all. */
export type Match = {
  /** Patterns: literal segments, `*` for one segment, `**` for any number of them, none included. */
  readonly paths: readonly string[]
  /** Upper-case methods. */
  readonly methods: readonly string[]
  /** Lower-case host names without a port; `*.example.com` stands for any name below it. */
  readonly hosts: readonly string[]
  /** Lower-case field name and the value wanted: exact, or with `*` for any run of characters. */
  readonly headers: readonly { readonly name: string; readonly value: string }[]
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

export type Per = 'device' | 'network' | 'principal' | 'global'
export type OnMissing = 'skip' | 'share' | 'deny'

/** `tokens` every `seconds`: kept as the two whole numbers that were written, so that arithmetic stays exact. */
export type Rate = { readonly tokens: number; readonly seconds: number }

export type Limit = {
  readonly name: string
  readonly per: Per
  readonly rate: Rate
  /** Tokens. */
  readonly burst: number
  readonly match: Match
  /** Tokens a request takes. */
  readonly cost: number
  readonly mode: Mode
  /** Whether the limit shows in the RateLimit fields. */
  readonly headers: boolean
  /** `per: device` only: what the unproved devices of one network share. */
  readonly newcomers: { readonly rate: Rate; readonly burst: number } | null
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
}
