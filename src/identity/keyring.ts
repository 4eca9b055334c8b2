import { createHmac, hkdfSync } from 'node:crypto'

/** What a pseudonym stands for. Each purpose has a key of its own, so that pseudonyms of two purposes never compare. */
export type Purpose = 'network' | 'class' | 'principal' | 'token' | 'device' | 'sources'

/**
 * Names a client's state without keeping what it is named after: HMAC-SHA256 over the length-prefixed parts, cut to 128 bits
 * (identity.md section 5), as 22 characters of base64url. The parts are hashed whole: `a|b` + `c` never equals `a` + `b|c`.
 */
export type Keyring = {
  pseudonym(purpose: Purpose, parts: readonly string[]): string
}

/** Derives the keys (HKDF-SHA256, RFC 5869) from the last secret, so that rotating in a new first one refills no bucket. */
export function createKeyring(secrets: readonly [string, ...string[]]): Keyring {
  const secret = secrets.at(-1)!
  const keys: Record<Purpose, Buffer> = {
    network: deriveKey(secret, 'network'),
    class: deriveKey(secret, 'class'),
    principal: deriveKey(secret, 'principal'),
    token: deriveKey(secret, 'token'),
    device: deriveKey(secret, 'device'),
    sources: deriveKey(secret, 'sources'),
  }
  return {
    pseudonym(purpose, parts) {
      const hmac = createHmac('sha256', keys[purpose])
      const length = Buffer.allocUnsafe(4)
      for (const part of parts) {
        length.writeUInt32BE(Buffer.byteLength(part))
        hmac.update(length).update(part)
      }
      return hmac.digest().subarray(0, 16).toString('base64url')
    },
  }
}

/** The key of one purpose: HKDF-SHA256 of a secret, 32 bytes. */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `sluice/v1/${purpose}`, 32))
}
