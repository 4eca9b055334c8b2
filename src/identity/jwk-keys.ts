import { constants, type JsonWebKey, type KeyObject, verify } from 'node:crypto'
import { publicKeyOf, weaknessOf } from '../policy/jwk-strength.ts'
import type { JwtAlgorithm } from '../policy/types.ts'

/** The public keys of an issuer, ready for use. */
export type JwkKeys = {
  /** The key that a token's header means; null where there is none, or several between which it does not say. */
  find(kid: unknown, algorithm: JwtAlgorithm): KeyObject | null
}

type Algorithm = {
  /** The key type a JWK must have, and the name of its curve. */
  readonly kty: 'RSA' | 'EC' | 'OKP'
  readonly crv?: string
  /** Null where the signature scheme brings its own. */
  readonly digest: string | null
  readonly isPss?: true
}

const ALGORITHMS: Readonly<Record<JwtAlgorithm, Algorithm>> = {
  RS256: { kty: 'RSA', digest: 'sha256' },
  RS384: { kty: 'RSA', digest: 'sha384' },
  RS512: { kty: 'RSA', digest: 'sha512' },
  PS256: { kty: 'RSA', digest: 'sha256', isPss: true },
  PS384: { kty: 'RSA', digest: 'sha384', isPss: true },
  PS512: { kty: 'RSA', digest: 'sha512', isPss: true },
  ES256: { kty: 'EC', crv: 'P-256', digest: 'sha256' },
  ES384: { kty: 'EC', crv: 'P-384', digest: 'sha384' },
  ES512: { kty: 'EC', crv: 'P-521', digest: 'sha512' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', digest: null },
}

/** Takes the keys of a JWK Set (RFC 7517) that verify signatures; what is of no use for that, or broken, is left out. */
export function importJwks(set: readonly JsonWebKey[]): JwkKeys {
  const keys = set.flatMap((jwk) => {
    const key = importKey(jwk)
    return key === null ? [] : [{ jwk, key }]
  })
  return {
    find(kid, algorithm) {
      const fitting = keys.filter(({ jwk }) => (kid === undefined || jwk.kid === kid) && fits(jwk, algorithm))
      return fitting.length === 1 ? fitting[0]!.key : null
    },
  }
}

/**
 * Verifies a JWS signature (RFC 7515 section 5.2). Synchronous, unlike the Web Crypto that packages for this build on: the
 * decision has to be taken at once, and a promise would let it wait.
 */
export function verifySignature(algorithm: JwtAlgorithm, key: KeyObject, signed: string, signature: Buffer): boolean {
  const { kty, digest, isPss } = ALGORITHMS[algorithm]
  const padding = isPss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : kty === 'RSA'
      ? { padding: constants.RSA_PKCS1_PADDING }
      : {}
  return verify(digest, Buffer.from(signed, 'latin1'), { key, dsaEncoding: 'ieee-p1363', ...padding }, signature)
}

function importKey(jwk: JsonWebKey): KeyObject | null {
  const isForSigning = jwk.use === undefined || jwk.use === 'sig'
  const isForVerifying = !Array.isArray(jwk.key_ops) || jwk.key_ops.includes('verify')
  // A shared secret (kty oct) never gets here: createPublicKey knows none.
  if (!isForSigning || !isForVerifying) return null
  const key = publicKeyOf(jwk)
  return key === null || weaknessOf(key) !== null ? null : key
}

function fits(jwk: JsonWebKey, algorithm: JwtAlgorithm): boolean {
  const { kty, crv } = ALGORITHMS[algorithm]
  if (jwk.kty !== kty || (crv !== undefined && jwk.crv !== crv)) return false
  return jwk.alg === undefined || jwk.alg === algorithm || (algorithm === 'EdDSA' && jwk.alg === 'Ed25519')
}
