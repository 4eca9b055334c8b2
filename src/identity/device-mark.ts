import { createHmac, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { deriveKey } from './keyring.ts'

/** What a device's mark says, once its signature holds. */
export type DeviceMark = {
  /** 96 random bits, 16 characters of base64url. */
  readonly device: string
  /** When the device got its first mark, and when this one was signed; milliseconds since the epoch, to the minute. */
  readonly issuedMs: number
  readonly signedMs: number
  /** 0 to 3. */
  readonly grade: number
  /** The first 16 bits of the network's pseudonym on which the grade was earned. */
  readonly home: number
}

/** Why a mark is not believed; the closed list of a metric's label. */
export const MARK_PROBLEMS = ['malformed', 'forged', 'expired', 'future'] as const
export type MarkProblem = (typeof MARK_PROBLEMS)[number]

export type DeviceMarks = {
  /** The text of a mark, signed with the first secret: 52 characters of base64url. */
  sign(mark: DeviceMark): string
  /** What a text says, or why it is not believed. One that was verified lately costs no HMAC. */
  read(text: string, wallMs: number): DeviceMark | MarkProblem
}

const VERSION = 1
const MINUTE = 60_000
const MAX_GRADE = 3
/** Of instances that share a secret one may be behind. */
const MAX_SKEW = 5 * MINUTE
const MAC_START = 23
const TEXT = /^[\w-]{52}$/

/**
 * Signs and reads marks: 39 bytes, so that base64url has one spelling of each.
 *
 *     0 version and grade, 4 bits each    1 key id    2 minute of issue (4)    6 minutes from there to the signing (3)
 *     9 device (12)    21 home (2)    23 HMAC-SHA256 over all before, cut to 128 bits (16)
 */
export function createDeviceMarks(secrets: readonly [string, ...string[]], maxAge: number): DeviceMarks {
  const keys = secrets.map((secret) => ({ id: deriveKey(secret, 'mark-id')[0]!, key: deriveKey(secret, 'mark') }))
  // Only what is verified is remembered: to fill this one needs as many marks that we have given.
  const verified = new LRUCache<string, DeviceMark>({ max: 50_000 })

  function verify(text: string): DeviceMark | MarkProblem {
    if (!TEXT.test(text)) return 'malformed'
    const bytes = Buffer.from(text, 'base64url')
    if (bytes[0]! >> 4 !== VERSION || (bytes[0]! & 15) > MAX_GRADE) return 'malformed'
    const mac = bytes.subarray(MAC_START)
    const isOurs = keys.some(({ id, key }) => id === bytes[1] && timingSafeEqual(macOf(bytes, key), mac))
    return isOurs ? decode(bytes) : 'forged'
  }

  return {
    sign(mark) {
      const bytes = Buffer.alloc(MAC_START)
      const minute = Math.floor(mark.issuedMs / MINUTE)
      bytes[0] = (VERSION << 4) | mark.grade
      bytes[1] = keys[0]!.id
      bytes.writeUInt32BE(minute, 2)
      bytes.writeUIntBE(Math.floor(mark.signedMs / MINUTE) - minute, 6, 3)
      bytes.write(mark.device, 9, 'base64url')
      bytes.writeUInt16BE(mark.home, 21)
      return Buffer.concat([bytes, macOf(bytes, keys[0]!.key)]).toString('base64url')
    },

    read(text, wallMs) {
      let mark = verified.get(text)
      if (mark === undefined) {
        const read = verify(text)
        if (typeof read === 'string') return read
        mark = read
        // A copy: a part of a field, remembered, would keep the whole field in memory.
        verified.set(Buffer.from(text).toString('latin1'), mark)
      }
      if (mark.signedMs + maxAge <= wallMs) return 'expired'
      return mark.signedMs > wallMs + MAX_SKEW ? 'future' : mark
    },
  }
}

function macOf(bytes: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes.subarray(0, MAC_START)).digest().subarray(0, 16)
}

function decode(bytes: Buffer): DeviceMark {
  const minute = bytes.readUInt32BE(2)
  return {
    device: bytes.toString('base64url', 9, 21),
    issuedMs: minute * MINUTE,
    signedMs: (minute + bytes.readUIntBE(6, 3)) * MINUTE,
    grade: bytes[0]! & 15,
    home: bytes.readUInt16BE(21),
  }
}
