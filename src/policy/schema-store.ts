import * as z from 'zod'
import { choice, duration, optional, plainText, text, unbuilt, whole } from './field.ts'
import { fileName, secretText, someText } from './schema-common.ts'
import { readRedisUrl } from './url.ts'

/** Where buckets are kept. */
export const store = z
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
