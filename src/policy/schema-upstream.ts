import * as z from 'zod'
import { choice, duration, flag, optional, percentage, size, text, whole } from './field.ts'
import { fileName } from './schema-common.ts'
import { readServerName, readUpstreamUrl, WRITE_UPSTREAM } from './url.ts'

/** The API behind Sluice, and the connections to it. */
export const upstream = z
  .strictObject({
    url: text({ what: 'an upstream', write: WRITE_UPSTREAM }, /^/, readUpstreamUrl)
      .prefault('http://127.0.0.1:3000')
      .describe('Where requests are forwarded to: http://host:port, https://host:port or unix:/path.sock.'),
    tls: optional(
      z.strictObject({
        ca_file: optional(fileName()).describe("The authorities to trust instead of the system's, PEM."),
        cert_file: optional(fileName()).describe('Our certificate, PEM.'),
        key_file: optional(fileName()).describe("Our certificate's key, PEM."),
        server_name: optional(
          text({ what: 'a host name', write: 'one such as api.internal' }, /^/, readServerName),
        ).describe("The name to ask for and to verify instead of the URL's."),
      }),
    ).describe('TLS towards an https:// upstream, whose certificate is always verified.'),
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
    queue_timeout: duration()
      .prefault('5s')
      .describe('How long a request may wait for a connection; then 503 with Retry-After.'),
    max_streams: whole(0, 1_000_000)
      .prefault(10_000)
      .describe('Upgrades and event streams, counted apart from max_connections.'),
    max_per_network: percentage(1)
      .prefault('25%')
      .describe(
        'The share of connections, of the queue and of streams up to which a network, or a known client, always finds a place.',
      ),
    max_header_bytes: size(1024, 1024 ** 2)
      .prefault('64KiB')
      .describe("The size of a response's header, and of its trailers; beyond it 502."),
    max_headers: whole(1, 10_000).prefault(500).describe("The number of a response's header lines; beyond it 502."),
    response_buffer: size(0, 64 * 1024 ** 2)
      .prefault('256KiB')
      .describe(
        'How much of a response is taken from the upstream, whose connection is then free, while a slow client reads; 0B: nothing.',
      ),
    preserve_host: flag().prefault(true).describe("Whether the upstream sees the client's Host or its own."),
    path_case: choice(['insensitive', 'sensitive'])
      .prefault('insensitive')
      .describe(
        'insensitive: limits and deny entries on /login hold for /LOGIN too, as Express routes it; exemptions never do.',
      ),
  })
  .prefault({})
  .describe('The HTTP API behind Sluice.')
