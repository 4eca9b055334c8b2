import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** RFC 7518 section 3.3. */
const MIN_RSA_BITS = 2048

/**
 * What makes a public key too weak to verify signatures with; null where nothing does. RSA needs a modulus of 2048 bits
 * (RFC 7518 section 3.3) and an odd exponent of at least 3 (RFC 8017 section 3.1): with e = 1 a signature is the message itself.
 */
export function weaknessOf(key: KeyObject): string | null {
  const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {}
  if (modulusLength === undefined || publicExponent === undefined) return null
  if (modulusLength < MIN_RSA_BITS) return `an RSA modulus of ${modulusLength} bits, below ${MIN_RSA_BITS}`
  if (publicExponent < 3n || publicExponent % 2n === 0n)
    return `the RSA exponent ${publicExponent}, with which anyone can sign`
  return null
}

/** The public key of a JWK; null where it is malformed. */
export function publicKeyOf(jwk: JsonWebKey): KeyObject | null {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    return null
  }
}
