import * as z from 'zod'
import { choice, duration, list, optional, plainText, text, whole } from './field.ts'
import { fileName, secretText, someText } from './schema-common.ts'
import { readRedisNode, readRedisUrl, readSentinel } from './url.ts'

/** Where buckets are kept. */
export const store = z
  .strictObject({
    kind: choice(['memory', 'redis'])
      .prefault('memory')
      .describe('memory: buckets in this process. redis: shared by all instances.'),
    max_buckets: whole(1, 100_000_000).prefault(1_000_000).describe('Buckets kept in process at most.'),
    url: optional(text({ what: 'the address of a Redis', write: 'redis://host:6379' }, /^/, readRedisUrl)).describe(
      'redis:// or, for TLS, rediss://[user[:password]@]host[:port][/db]. Only with kind redis.',
    ),
    cluster: optional(
      list(text({ what: 'the address of a Redis', write: 'redis://host:6379' }, /^/, readRedisNode)),
    ).describe('Some nodes of a Redis Cluster, which name the others; instead of url. Only with kind redis.'),
    sentinel: optional(
      z.strictObject({
        name: someText().describe('What the sentinels call the primary.'),
        nodes: list(
          text({ what: 'the address of a sentinel', write: 'host:port, such as 10.0.0.1:26379' }, /^/, readSentinel),
        ).describe('Some of the sentinels, host:port.'),
      }),
    ).describe('A primary found through Redis Sentinel, instead of url. Only with kind redis.'),
    password: optional(secretText()).describe("Redis's password, where it is not in url. Only with kind redis."),
    password_file: optional(fileName()).describe("The file that holds Redis's password. Only with kind redis."),
    tls: optional(
      z.strictObject({
        ca_file: optional(fileName()).describe("Certificates (PEM) that sign Redis's; left out, the public ones."),
      }),
    ).describe('TLS towards Redis: for rediss://, and what turns it on with sentinel. Only with kind redis.'),
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
