import * as z from 'zod'
import { readHostPort } from './address.ts'
import { choice, duration, flag, optional, percentage, plainText, size, text, unbuilt, whole } from './field.ts'
import { adminToken, fileName, secretText, someText } from './schema-common.ts'
import { identity } from './schema-identity.ts'
import { deny, exempt, limits } from './schema-limits.ts'
import { readOrigin, readRedisUrl, readUpstreamUrl } from './url.ts'

const ANY = /^/
const hostPort = () =>
  text({ what: 'an address to listen on', write: 'host:port, such as 0.0.0.0:8080 or :8080' }, ANY, readHostPort)

const upstream = z
  .strictObject({
    url: text({ what: 'an upstream', write: 'http://host:port, such as http://127.0.0.1:3000' }, ANY, readUpstreamUrl)
      .prefault('http://127.0.0.1:3000')
      .describe('Where requests are forwarded to: http://host:port (https:// and unix: are not supported yet).'),
    tls: unbuilt(
      optional(
        z.strictObject({
          ca_file: optional(fileName()).describe('The authorities to trust, PEM.'),
          cert_file: optional(fileName()).describe('Our certificate, PEM.'),
          key_file: optional(fileName()).describe("Our certificate's key, PEM."),
          server_name: optional(someText()).describe('The name to ask for and to verify.'),
        }),
      ).describe('TLS towards the upstream. Not supported yet.'),
    ),
    connect_timeout: duration().prefault('2s').describe('How long connecting may take.'),
    response_timeout: duration().prefault('30s').describe("How long the response's header may take."),
    idle_timeout: duration()
      .prefault('5m')
      .describe('How long may pass between two chunks of a body, or on an upgraded connection.'),
    keep_alive_timeout: duration()
      .prefault('4s')
      .describe("Pooled connections idle for longer are closed; the upstream's Keep-Alive hint is honoured."),
    max_connections: whole(1, 65_535).prefault(256).describe('Connections to the upstream.'),
    max_queue: whole(0, 1_000_000)
      .prefault(1024)
      .describe('Requests that may wait for a connection; beyond them 503 with Retry-After.'),
    max_streams: whole(0, 1_000_000)
      .prefault(10_000)
      .describe('Upgrades and event streams, counted apart from max_connections.'),
    preserve_host: flag().prefault(true).describe("Whether the upstream sees the client's Host or its own."),
  })
  .prefault({})
  .describe('The HTTP API behind Sluice.')

const server = z
  .strictObject({
    header_timeout: duration().prefault('10s').describe("How long a request's header may take to arrive."),
    request_timeout: duration().prefault('5m').describe('How long a whole request may take to arrive.'),
    keep_alive_timeout: duration()
      .prefault('65s')
      .describe('How long an idle client connection is kept; longer than that of a balancer in front.'),
    max_header_bytes: size(1024, 1024 ** 2)
      .prefault('16KiB')
      .describe("The size of a request's header."),
    max_headers: whole(1, 10_000).prefault(100).describe("The number of a request's header lines."),
    max_connections: whole(1, 1_000_000).prefault(20_000).describe('Client connections at a time.'),
    drain_delay: duration(0)
      .prefault('0s')
      .describe('How long to go on accepting after SIGTERM; 5s in Kubernetes, where endpoints take a while to leave.'),
    drain_timeout: duration(0).prefault('25s').describe('How long what is in flight may take to finish.'),
    workers: unbuilt(
      z
        .union([whole(1, 1024), choice(['auto'])])
        .prefault(1)
        .describe('Processes: a number, or auto for one per core. Only 1 is supported yet.'),
    ),
  })
  .prefault({})
  .describe('The proxied port.')

const store = z
  .strictObject({
    kind: choice(['memory', 'redis'])
      .prefault('memory')
      .describe('memory: buckets in this process. redis: shared by all instances.'),
    max_buckets: whole(1, 100_000_000).prefault(1_000_000).describe('Buckets kept in process at most.'),
    url: optional(text({ what: 'the address of a Redis', write: 'redis://host:6379' }, /^/, readRedisUrl)).describe(
      'redis://[user[:password]@]host[:port][/db]. Only with kind redis.',
    ),
    cluster: unbuilt(
      optional(z.array(someText())).describe('Nodes of a Redis Cluster, instead of url. Not supported yet.'),
    ),
    sentinel: unbuilt(
      optional(z.strictObject({ name: someText(), nodes: z.array(someText()) })).describe(
        'A primary found through Redis Sentinel, instead of url. Not supported yet.',
      ),
    ),
    password: optional(secretText()).describe("Redis's password, where it is not in url. Only with kind redis."),
    password_file: optional(fileName()).describe("The file that holds Redis's password. Only with kind redis."),
    tls: unbuilt(
      optional(z.strictObject({ ca_file: optional(fileName()) })).describe('TLS towards Redis. Not supported yet.'),
    ),
    key_prefix: plainText(
      { what: 'a key prefix', write: '1 to 64 visible ASCII characters other than { and }, such as "sluice:"' },
      /^[\x21-\x7a|~]{1,64}$/,
    )
      .prefault('sluice:')
      .describe('What all keys in Redis start with. Only with kind redis.'),
    timeout: duration(1, 10_000)
      .prefault('20ms')
      .describe('How long a decision waits for Redis at most. Only with kind redis.'),
    on_error: choice(['local', 'allow', 'deny'])
      .prefault('local')
      .describe(
        'While Redis is away: limit in this process, let everything pass, or answer 503. Only with kind redis.',
      ),
    expected_instances: whole(1, 10_000)
      .prefault(1)
      .describe('While Redis is away rate and burst are divided by this. Only with kind redis.'),
    lease: choice(['auto', 'off'])
      .prefault('auto')
      .describe(
        'auto: take several tokens of a hot bucket at once. off: every request asks Redis. Only with kind redis.',
      ),
  })
  .prefault({})
  .describe('Where buckets are kept.')

const refuse = z
  .strictObject({
    retry_jitter: percentage().prefault('0%').describe('By how much Retry-After is spread, upwards only.'),
    legacy_headers: choice(['off', 'epoch', 'delta'])
      .prefault('off')
      .describe('X-RateLimit-Limit, -Remaining and -Reset, with Reset as a point in time or as seconds to go.'),
    body_file: fileName()
      .nullable()
      .prefault(null)
      .describe('A template that replaces the problem document: .json, .html, .txt or .xml, at most 64 KiB.'),
    cors: z
      .strictObject({
        origins: z
          .array(text({ what: 'an origin', write: '* or scheme://host[:port]' }, ANY, readOrigin))
          .prefault(['*'])
          .describe('* or the origins that may read our own answers; listed origins may send credentials.'),
      })
      .prefault({})
      .describe('CORS on our own answers.'),
  })
  .prefault({})
  .describe('What a refused client gets.')

const log = z
  .strictObject({
    level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .prefault('info')
      .describe('The least severe level that is written.'),
    access: choice(['all', 'refused', 'off']).prefault('all').describe('Which requests get an access line.'),
    sample: percentage().prefault('100%').describe('The share of forwarded requests that get an access line.'),
    client_address: flag()
      .prefault(false)
      .describe("Whether the client's raw address, token and User-Agent are logged."),
  })
  .prefault({})
  .describe('JSON lines on stdout.')

/** The one definition of the policy's format: its keys, its values, its defaults, and what editors say about them. */
export const policySchema = z
  .strictObject({
    version: z
      .literal(1, {
        error: ({ input }) =>
          input === undefined ? 'is missing; write version: 1' : 'is not a version that is known; write version: 1',
      })
      .describe('The version of this format: 1.'),
    listen: hostPort().prefault('0.0.0.0:8080').describe('The proxied port: host:port, :port or [::1]:port.'),
    admin: hostPort()
      .prefault('127.0.0.1:8081')
      .describe('The port for metrics, health, the page and the API; never reachable through the proxied one.'),
    admin_token: optional(adminToken()).describe(
      'The bearer token that anything changing state needs on the admin port.',
    ),
    admin_token_file: optional(fileName()).describe('The file that holds the admin token.'),
    upstream,
    server,
    store,
    identity,
    exempt_preflight: flag()
      .prefault(true)
      .describe('Whether CORS preflights (OPTIONS with Access-Control-Request-Method) pass without being counted.'),
    exempt,
    deny,
    limits,
    refuse,
    mode: choice(['enforce', 'shadow'])
      .prefault('enforce')
      .describe('shadow: nothing is refused, everything is counted.'),
    log,
  })
  .describe('The policy of Sluice, a rate-limiting reverse proxy.')

/** What a policy file says once it is valid: units read, defaults filled in, keys still as in the file. */
export type PolicyFile = z.output<typeof policySchema>
