import type { JsonWebKey } from 'node:crypto'
import { isMap } from './data.ts'
import { show } from './show.ts'
import type { Reading } from './units.ts'

/** The public keys of a JWK Set (RFC 7517 section 5), as JSON. What is wrong never shows a key. */
export function readJwkSet(text: string): Reading<readonly JsonWebKey[]> {
  const write = 'write {"keys": [...]} with the public keys of the issuer'
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch {
    return { wrong: `is not JSON; ${write}` }
  }
  const keys: unknown = isMap(set) ? set.keys : undefined
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isMap)) return { wrong: `is not a JWK Set; ${write}` }
  for (const [index, key] of keys.entries()) {
    const place = `has at keys[${index}]`
    if ('d' in key || 'k' in key) return { wrong: `${place} a private or shared key; ${write}` }
    if (typeof key.kty !== 'string') return { wrong: `${place} no key type (kty); ${write}` }
    if (!['RSA', 'EC', 'OKP'].includes(key.kty)) return { wrong: `${place} a key of type ${show(key.kty)}; ${write}` }
  }
  return { value: keys as readonly JsonWebKey[] }
}
