import { SluiceError } from '../errors.ts'
import { QUEUE_URL_RULE, queueKind } from './queue/index.ts'
import type { ConflictStatus } from './user-routes.ts'

/** What a person may set about the demo. */
export type DemoSettings = {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** The status of a conflict. */
  readonly conflictStatus: ConflictStatus
  /** How long the third party takes, in milliseconds. */
  readonly thirdPartyMs: number
  /** The share of the third party's calls that fail, 0 to 1. */
  readonly thirdPartyFailures: number
  /** A third party over HTTP, to be called instead of the one in process. */
  readonly thirdPartyUrl?: string
  /** Where the work waits; see `queueKind`. */
  readonly queueUrl: string
  /** The address of SQS where it is not Amazon's. */
  readonly sqsEndpoint?: string
  /** As many jobs wait at most; then integrations are refused. */
  readonly maxJobs: number
  /** Jobs at a time in this process; 0 leaves them to `npm run demo:worker`. */
  readonly concurrency: number
  /** How long a worker may be silent before its job is given to another, in milliseconds. */
  readonly leaseMs: number
  /** Where users, jobs and keys are kept; a queue in Redis implies its own. */
  readonly redisUrl?: string
  /** A folder to keep them in where there is no Redis. */
  readonly dataDir?: string
}

/** Slower than this, and a call would outlast the time that the worker waits for it. */
const MAX_THIRD_PARTY_MS = 20_000

/** What holds where nothing is set. */
export const defaultSettings: DemoSettings = {
  host: '127.0.0.1',
  port: 3000,
  conflictStatus: 409,
  thirdPartyMs: 1500,
  thirdPartyFailures: 0.2,
  queueUrl: 'memory:',
  maxJobs: 10_000,
  concurrency: 10,
  leaseMs: 15_000,
}

/**
 * Reads the demo's settings from the environment: DEMO_HOST, DEMO_PORT and so on, each named in docs/8-demo.md. One that
 * is unset or empty takes its default. Throws a SluiceError `usage` for one that cannot be.
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): DemoSettings {
  function read<T>(name: string, otherwise: T, rule: string, parse: (text: string) => T | undefined): T {
    const text = env[name]?.trim() ?? ''
    const value = text === '' ? otherwise : parse(text)
    if (value === undefined) throw new SluiceError('usage', `${name}: '${text}' is not acceptable; write ${rule}`)
    return value
  }
  /** For what has no default: absent, not undefined. */
  function readOptional<K extends keyof DemoSettings>(key: K, name: string, rule: string, isRight: RegExp) {
    const value = read<string | null>(name, null, rule, (text) => (isRight.test(text) ? text : undefined))
    return (value === null ? {} : { [key]: value }) as Pick<DemoSettings, K>
  }

  const { host, port, conflictStatus, thirdPartyMs, thirdPartyFailures, ...jobs } = defaultSettings
  const count = (min: number, max: number) => (text: string) => whole(text, max, min)
  return {
    host: read('DEMO_HOST', host, 'an address to listen on, as 127.0.0.1', (text) => text),
    port: read('DEMO_PORT', port, 'a port from 0 to 65535', count(0, 65_535)),
    conflictStatus: read('DEMO_CONFLICT_STATUS', conflictStatus, '409 or 422', conflict),
    thirdPartyMs: read(
      'DEMO_THIRD_PARTY_MS',
      thirdPartyMs,
      `milliseconds from 0 to ${MAX_THIRD_PARTY_MS}`,
      count(0, MAX_THIRD_PARTY_MS),
    ),
    thirdPartyFailures: read('DEMO_THIRD_PARTY_FAILURES', thirdPartyFailures, 'a share, as 0.2 or 20%', share),
    queueUrl: read('DEMO_QUEUE_URL', jobs.queueUrl, QUEUE_URL_RULE, (text) => (queueKind(text) ? text : undefined)),
    maxJobs: read('DEMO_MAX_JOBS', jobs.maxJobs, 'jobs from 1 to 1000000', count(1, 1_000_000)),
    concurrency: read('DEMO_CONCURRENCY', jobs.concurrency, 'jobs at a time from 0 to 1000', count(0, 1000)),
    leaseMs: read('DEMO_LEASE_MS', jobs.leaseMs, 'milliseconds from 1000 to 3600000', count(1000, 3_600_000)),
    ...readOptional('thirdPartyUrl', 'DEMO_THIRD_PARTY_URL', 'a URL, as https://partner.example/orders', HTTP_URL),
    ...readOptional('sqsEndpoint', 'DEMO_SQS_ENDPOINT', 'a URL, as http://127.0.0.1:4566', HTTP_URL),
    ...readOptional('redisUrl', 'DEMO_REDIS_URL', 'redis://host:6379', /^rediss?:\/\/[^/]/),
    ...readOptional('dataDir', 'DEMO_DATA_DIR', 'a folder', /^[^\0]+$/),
  }
}

const HTTP_URL = /^https?:\/\/[^/]/

function whole(text: string, max: number, min: number): number | undefined {
  return /^\d{1,9}$/.test(text) && Number(text) <= max && Number(text) >= min ? Number(text) : undefined
}

function conflict(text: string): ConflictStatus | undefined {
  if (text === '409') return 409
  return text === '422' ? 422 : undefined
}

function share(text: string): number | undefined {
  const [, digits, percent] = /^(\d{1,3}(?:\.\d{1,9})?)(%?)$/.exec(text) ?? []
  const value = Number(digits) / (percent === '%' ? 100 : 1)
  return value >= 0 && value <= 1 ? value : undefined
}
