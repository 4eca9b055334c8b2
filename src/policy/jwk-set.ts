import type { JsonWebKey } from 'node:crypto'
import { isMap } from './data.ts'
import { publicKeyOf, weaknessOf } from './jwk-strength.ts'
import { show } from './show.ts'
import type { Reading } from './units.ts'

/** Bounds of a key set: an issuer has a handful of keys, and each costs memory and time to import. */
export const MAX_JWKS_BYTES = 1024 * 1024
export const MAX_JWKS_KEYS = 200

/** The public keys of a JWK Set (RFC 7517 section 5), as JSON. What is wrong never shows a key. */
export function readJwkSet(text: string): Reading<readonly JsonWebKey[]> {
  const write = 'write {"keys": [...]} with the public keys of the issuer'
  if (Buffer.byteLength(text) > MAX_JWKS_BYTES) return { wrong: `is larger than 1 MiB; ${write}` }
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch {
    return { wrong: `is not JSON; ${write}` }
  }
  const keys: unknown = isMap(set) ? set.keys : undefined
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isMap)) return { wrong: `is not a JWK Set; ${write}` }
  if (keys.length > MAX_JWKS_KEYS) return { wrong: `has ${keys.length} keys, more than ${MAX_JWKS_KEYS}; ${write}` }
  for (const [index, key] of keys.entries()) {
    const place = `has at keys[${index}]`
    if ('d' in key || 'k' in key) return { wrong: `${place} a private or shared key; ${write}` }
    if (typeof key.kty !== 'string') return { wrong: `${place} no key type (kty); ${write}` }
    if (!['RSA', 'EC', 'OKP'].includes(key.kty)) return { wrong: `${place} a key of type ${show(key.kty)}; ${write}` }
    const weakness = weaknessIn(key)
    if (weakness !== null) return { wrong: `${place} ${weakness}; ask the issuer for a stronger key, or leave it out` }
  }
  return { value: keys as readonly JsonWebKey[] }
}

function weaknessIn(jwk: JsonWebKey): string | null {
  const key = publicKeyOf(jwk)
  return key === null ? null : weaknessOf(key)
}
