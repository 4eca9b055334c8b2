import t from 'tap'
import { problemsOf } from './read-fixture.ts'

/** For each key: texts (as YAML) that are good, and texts that are not. */
const VALUES: Readonly<Record<string, { readonly good: readonly string[]; readonly bad: readonly string[] }>> = {
  'upstream: {connect_timeout: VALUE}': {
    good: ['1ms', '250ms', '20s', '5m', '1h', '7d', '24d'],
    bad: [
      '0s',
      '0ms',
      '-1s',
      '1.5s',
      '1 s',
      '20',
      '"20"',
      '1S',
      '1w',
      '25d',
      '9999999999999s',
      '',
      's',
      '[1s]',
      'null',
      '١s',
    ],
  },
  'server: {drain_delay: VALUE}': { good: ['0s', '0ms', '5s'], bad: ['0', '-0s'] },
  'server: {max_header_bytes: VALUE}': {
    good: ['1KiB', '16KiB', '1MiB', '2048B'],
    bad: ['16KB', '16384', '1GiB', '0B', '1023B', '1.5KiB', '16 KiB'],
  },
  'refuse: {retry_jitter: VALUE}': { good: ['0%', '12.5%', '100%'], bad: ['100.1%', '-1%', '5', '0.5', '%', '1e1%'] },
  'limits: [{name: a, per: network, rate: VALUE, burst: 5000000}]': {
    good: ['1/s', '1000000/s', '60000000/min', '1200/h', '86400000000/d'],
    bad: [
      '0/s',
      '-1/s',
      '1.5/s',
      '1e3/s',
      '010/s',
      '10',
      '10/sek',
      '10/ s',
      '10/m',
      '1000001/s',
      '60000001/min',
      '999999999999999/d',
      '.inf',
      '"10/s "',
    ],
  },
  'limits: [{name: a, per: network, rate: 1/s, burst: VALUE}]': {
    good: ['1', '1000000000', '0x10', '1e3'],
    bad: [
      '0',
      '-1',
      '1.5',
      '1000000001',
      '1e309',
      '.inf',
      '-.inf',
      '.nan',
      '"5"',
      'null',
      'true',
      '[1]',
      '{}',
      '5/s',
      '1_000',
      '9007199254740993',
    ],
  },
  'limits: [{name: a, per: network, rate: 10/s, cost: VALUE}]': {
    good: ['1', '10'],
    bad: ['0', '-1', '11', '.nan', '1e309', '1.5'],
  },
  'limits: [{name: VALUE, per: network, rate: 10/s}]': {
    good: ['a', 'a-b_9', '"404"', 'x'.repeat(64)],
    bad: ['A', '404', '"a b"', 'a.b', 'x'.repeat(65), '""', 'ü', 'true'],
  },
  'listen: VALUE': {
    good: [':80', '":0"', '0.0.0.0:65535', 'localhost:80', '"[::1]:80"', '"[::]:0"', 'my_host-1.internal:1'],
    bad: [
      '80',
      '":65536"',
      '":-1"',
      'localhost',
      '"::1:80"',
      '"[::1]"',
      '10.1:80',
      '010.0.0.1:80',
      '0x7f.1:80',
      '"[10.0.0.1]:80"',
      'a b:80',
      'http://a:80',
      '"*:80"',
      '":+80"',
    ],
  },
  'upstream: {url: VALUE}': {
    good: ['http://a', 'http://a:80', '"http://a:80/"', 'http://127.0.0.1:3000', '"http://[::1]:3000"', 'HTTP://A.B'],
    bad: [
      'a',
      'a:80',
      'https://a',
      '"unix:/a"',
      'ftp://a',
      'http://',
      '"http://a/b"',
      '"http://a?b"',
      '"http://a#b"',
      '"http://u@a"',
      '"http://u:p@a"',
      '"http://a:0"',
      '"http://a:65536"',
      '"http://10.1"',
      '"http://0x7f000001"',
      '"http://a b"',
      '"http://a\\n"',
      '"http://[::1%25eth0]"',
      '"http://a:"',
    ],
  },
  'identity: {trusted_proxies: [VALUE]}': {
    good: ['loopback', 'linklocal', 'private', '10.0.0.0/8', '192.0.2.1', '"::1"', '"2001:db8::/32"', '0.0.0.0/0'],
    bad: [
      'Private',
      'localhost',
      '10.0.0.1/8',
      '10.1',
      '010.0.0.1',
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0.0/-1',
      '"::1/129"',
      '"fe80::1%eth0"',
      '"::ffff:10.0.0.1"',
      '10.0.0.0/8/8',
      'constructor',
      '1',
      '""',
      '"10.0.0.0 /8"',
    ],
  },
  'identity: {client_address: VALUE}': {
    good: ['x-forwarded-for', 'Forwarded', 'peer', 'cf-connecting-ip'],
    bad: ['"a b"', '""', '"a:b"', '1'],
  },
  'limits: [{name: a, per: network, rate: 1/s, match: {path: VALUE}}]': {
    good: [
      '/',
      '/a',
      '/a/',
      '/*',
      '/**',
      '/a/*/b/**',
      '[/a, /b]',
      '/%2F',
      '/a//b',
      '/a.b',
      '/...',
      '/~x;y=1',
      '/**/a/*',
    ],
    bad: [
      'a',
      '""',
      '/a*',
      '/***',
      '/**/**',
      '/a?b',
      '/a#b',
      '"/a\\\\b"',
      '/%',
      '/%2',
      '/%zz',
      '/%00',
      '/.',
      '/a/../b',
      '/%2e',
      '/%2E%2e/',
      '"/a b"',
      '/ü',
      '[]',
      '[[/a]]',
      '1',
      'null',
    ],
  },
  'limits: [{name: a, per: network, rate: 1/s, match: {host: VALUE}}]': {
    good: ['a', 'Example.com', '"*.example.com"', '127.0.0.1', '"[::1]"'],
    bad: ['a:80', 'http://a', 'a/b', '"*"', '"*.*.a"', 'a*b', '"a."', '10.1', '""', 'ü.com', '"[::1]:80"'],
  },
  'limits: [{name: a, per: network, rate: 1/s, match: {methods: VALUE}}]': {
    good: ['GET', '[GET, POST]', 'M-SEARCH'],
    bad: ['get', '[Get]', 'GET POST', '""', '[]', '[GET, GET POST]', '1'],
  },
  'limits: [{name: a, per: network, rate: 1/s, match: {header: VALUE}}]': {
    good: ['{x-a: b}', '{X-A: "b*", y: "2"}', '{}'],
    bad: ['{x-a: 1}', '{"a b": c}', '{x: ""}', '{x: [a]}', '{x-a: b, X-A: c}', 'x', '[x]', '{x: "a\\nb"}'],
  },
  'deny: [{name: a, until: VALUE}]': {
    good: ['2027-01-31', '2027-01-31T08:00:00Z', '2028-02-29', '"2027-01-31T08:00+02:00"', '2027-01-31T08:00:00.123Z'],
    bad: [
      '2027-02-29',
      '2027-13-01',
      '2027-00-01',
      '2027-01-31T08:00:00',
      '2027-01-31 08:00:00Z',
      '2027-01-31T24:00:00Z',
      '20270131',
      '1767225600',
      'tomorrow',
      '27-1-31',
    ],
  },
  'refuse: {cors: {origins: VALUE}}': {
    good: [
      '["*"]',
      '[]',
      '["https://a.b", "http://localhost:3000"]',
      '["capacitor://localhost"]',
      '["https://[::1]:8443"]',
    ],
    bad: [
      '["*", "https://a"]',
      '["https://a/"]',
      '["https://A"]',
      '["https://a:443"]',
      '["a"]',
      '["null"]',
      '["https://*.a"]',
      '["https://u@a"]',
      '"*"',
    ],
  },
  'limits: [{name: a, per: VALUE, rate: 1/s}]': {
    good: ['device', 'network', 'global'],
    bad: ['Device', 'ip', '[]', '[host]', '[path:1, "header:x"]', '1'],
  },
}

for (const [line, { good, bad }] of Object.entries(VALUES)) {
  const text = (value: string) => `version: 1\n${line.replace('VALUE', value)}\n`
  t.test(`takes and refuses the right values in ${line}`, async (t) => {
    for (const value of good) t.strictSame(problemsOf(text(value)), [], value)
    for (const value of bad)
      t.equal(problemsOf(text(value)).length, 1, `${value} has one problem: ${problemsOf(text(value))}`)
  })
}

t.test('an address of a Redis is one that ioredis reads as it is meant', async (t) => {
  const text = (url: string) =>
    `version: 1\nidentity: {secret: "${'s'.repeat(32)}"}\nstore: {kind: redis, url: "${url}"}`
  for (const url of [
    'redis://r',
    'redis://r:6379/0',
    'redis://:p@r',
    'redis://u:p%40@[::1]:1/15',
    'rediss://u:p@r:1',
  ]) {
    t.strictSame(problemsOf(text(url)), [], url)
  }
  for (const url of [
    'r',
    'r:6379',
    'http://r',
    'redis://',
    'redis://r:0',
    'redis://r/x',
    'redis://a@b@c',
    'redis://:%@r',
    'redis://r?x=1',
  ]) {
    t.match(problemsOf(text(url)), [/^store\.url: /], url)
  }
})
