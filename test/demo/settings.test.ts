import t from 'tap'
import { defaultSettings, readSettings } from '../../src/demo/settings.ts'
import { SluiceError } from '../../src/errors.ts'

t.test('what is not set, or empty, has its default', async (t) => {
  t.same(readSettings({}), defaultSettings)
  t.same(readSettings({ DEMO_PORT: '', DEMO_CONFLICT_STATUS: ' ' }), defaultSettings)
  t.match(defaultSettings, {
    host: '127.0.0.1',
    port: 3000,
    conflictStatus: 409,
    thirdPartyMs: 1500,
    thirdPartyFailures: 0.2,
  })
})

t.test('each can be set', async (t) => {
  const env = {
    DEMO_HOST: '::1',
    DEMO_PORT: '8000',
    DEMO_CONFLICT_STATUS: '422',
    DEMO_THIRD_PARTY_MS: '0',
    DEMO_THIRD_PARTY_FAILURES: '0.05',
    DEMO_THIRD_PARTY_URL: 'http://127.0.0.1:9/act',
    DEMO_QUEUE_URL: 'sqs://jobs.fifo',
    DEMO_SQS_ENDPOINT: 'http://127.0.0.1:4566',
    DEMO_MAX_JOBS: '50',
    DEMO_CONCURRENCY: '0',
    DEMO_LEASE_MS: '2000',
    DEMO_REDIS_URL: 'redis://127.0.0.1:6379/2',
    DEMO_DATA_DIR: '/var/lib/demo',
  }
  const settings = {
    host: '::1',
    port: 8000,
    conflictStatus: 422,
    thirdPartyMs: 0,
    thirdPartyFailures: 0.05,
    thirdPartyUrl: 'http://127.0.0.1:9/act',
    queueUrl: 'sqs://jobs.fifo',
    sqsEndpoint: 'http://127.0.0.1:4566',
    maxJobs: 50,
    concurrency: 0,
    leaseMs: 2000,
    redisUrl: 'redis://127.0.0.1:6379/2',
    dataDir: '/var/lib/demo',
  }
  t.same(readSettings(env), settings)
  t.equal(readSettings({ DEMO_THIRD_PARTY_FAILURES: '35%' }).thirdPartyFailures, 0.35)
  t.equal(readSettings({ DEMO_THIRD_PARTY_FAILURES: '100%' }).thirdPartyFailures, 1)
})

t.test('what cannot be is refused with the value, the rule and the fix', async (t) => {
  const bad: [string, string, RegExp][] = [
    ['DEMO_CONFLICT_STATUS', '400', /'400' is not acceptable; write 409 or 422/],
    ['DEMO_CONFLICT_STATUS', '0x199', /409 or 422/],
    ['DEMO_PORT', '65536', /a port from 0 to 65535/],
    ['DEMO_PORT', '-1', /a port/],
    ['DEMO_PORT', '3e3', /a port/],
    ['DEMO_THIRD_PARTY_MS', '1.5', /milliseconds from 0 to 20000/],
    ['DEMO_THIRD_PARTY_MS', '20001', /milliseconds/],
    ['DEMO_THIRD_PARTY_FAILURES', '20', /0\.2 or 20%/],
    ['DEMO_THIRD_PARTY_FAILURES', '101%', /0\.2 or 20%/],
    ['DEMO_THIRD_PARTY_FAILURES', 'NaN', /0\.2 or 20%/],
    ['DEMO_THIRD_PARTY_FAILURES', '-0.1', /0\.2 or 20%/],
    ['DEMO_THIRD_PARTY_URL', 'partner', /'partner' is not acceptable; write a URL/],
    ['DEMO_QUEUE_URL', 'amqp://host', /'amqp:\/\/host' is not acceptable; write memory:, redis:/],
    ['DEMO_SQS_ENDPOINT', 'localhost:4566', /a URL, as http/],
    ['DEMO_MAX_JOBS', '0', /jobs from 1 to 1000000/],
    ['DEMO_CONCURRENCY', '1001', /from 0 to 1000/],
    ['DEMO_LEASE_MS', '999', /from 1000 to/],
    ['DEMO_REDIS_URL', 'localhost', /redis:\/\/host:6379/],
  ]
  for (const [name, value, message] of bad) {
    const read = () => readSettings({ [name]: value })
    t.throws(read, { code: 'usage', message }, `${name}=${value}`)
    t.throws(read, SluiceError)
    t.throws(read, { message: new RegExp(`^${name}: `) })
  }
})
