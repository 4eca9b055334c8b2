import * as z from 'zod'
import { readHostPort } from './address.ts'
import { choice, duration, flag, optional, percentage, size, text, whole, wholeOr } from './field.ts'
import { adminToken, fileName } from './schema-common.ts'
import { identity } from './schema-identity.ts'
import { deny, exempt, limits } from './schema-limits.ts'
import { store } from './schema-store.ts'
import { upstream } from './schema-upstream.ts'
import { BYTE_RATE, readByteRate } from './units.ts'
import { readOrigin } from './url.ts'

const ANY = /^/
const hostPort = () =>
  text({ what: 'an address to listen on', write: 'host:port, such as 0.0.0.0:8080 or :8080' }, ANY, readHostPort)

const server = z
  .strictObject({
    header_timeout: duration().prefault('10s').describe("How long a request's header may take to arrive."),
    request_timeout: optional(duration()).describe('Not used any more: min_rate cuts off what is slow.'),
    min_rate: text(
      { what: 'a rate of bytes', write: 'bytes a second, such as 500B/s, 4KiB/s, or 0B/s for none' },
      BYTE_RATE,
      readByteRate,
    )
      .prefault('500B/s')
      .describe('The least rate at which a client sends a body or reads a response, beyond min_rate_grace; 0B/s: any.'),
    min_rate_grace: duration()
      .prefault('20s')
      .describe(
        'How long a client may be slower than min_rate; each second of min_rate that it sends or reads adds one.',
      ),
    request_buffer: size(0, 1024 ** 2)
      .prefault('64KiB')
      .describe('The size of a request body that is read before a connection to the upstream is taken; 0B: none.'),
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
    workers: wholeOr(1, 1024, 'auto')
      .prefault(1)
      .describe('Processes that share the ports and the limits: a number, or auto for one per core.'),
    method_override: choice(['strip', 'match', 'pass'])
      .prefault('strip')
      .describe(
        'X-HTTP-Method-Override and the like: strip removes them, match counts a request as both methods, pass ignores them.',
      ),
  })
  .prefault({})
  .describe('The proxied port.')

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
    path: flag()
      .prefault(false)
      .describe(
        'Whether access lines bear the host and the path, without its query: what a replay with other matches needs.',
      ),
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
      .describe(
        'Whether CORS preflights (OPTIONS with Access-Control-Request-Method) have an allowance of their own instead of spending that of requests.',
      ),
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
