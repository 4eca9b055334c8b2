import { SluiceError } from '../errors.ts'
import type { ConflictStatus } from './conflicts.ts'

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
}

/**
 * Reads DEMO_HOST, DEMO_PORT, DEMO_CONFLICT_STATUS, DEMO_THIRD_PARTY_MS and DEMO_THIRD_PARTY_FAILURES (`0.2` or `20%`).
 * One that is unset or empty takes its default. Throws a SluiceError `usage` for one that cannot be.
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): DemoSettings {
  function read<T>(name: string, otherwise: T, rule: string, parse: (text: string) => T | undefined): T {
    const text = env[name]?.trim() ?? ''
    const value = text === '' ? otherwise : parse(text)
    if (value === undefined) throw new SluiceError('usage', `${name}: '${text}' is not acceptable; write ${rule}`)
    return value
  }
  const { host, port, conflictStatus, thirdPartyMs, thirdPartyFailures } = defaultSettings
  return {
    host: read('DEMO_HOST', host, 'an address to listen on, as 127.0.0.1', (text) => text),
    port: read('DEMO_PORT', port, 'a port from 0 to 65535', (text) => whole(text, 65_535)),
    conflictStatus: read('DEMO_CONFLICT_STATUS', conflictStatus, '409 or 422', conflict),
    thirdPartyMs: read('DEMO_THIRD_PARTY_MS', thirdPartyMs, `milliseconds from 0 to ${MAX_THIRD_PARTY_MS}`, (text) =>
      whole(text, MAX_THIRD_PARTY_MS),
    ),
    thirdPartyFailures: read('DEMO_THIRD_PARTY_FAILURES', thirdPartyFailures, 'a share, as 0.2 or 20%', share),
  }
}

function whole(text: string, max: number): number | undefined {
  return /^\d{1,9}$/.test(text) && Number(text) <= max ? Number(text) : undefined
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
