/** Characters of a pseudonym that keep keys together: 48 bits. */
const TAG_LENGTH = 8

/** The first characters of a pseudonym: what bears the same tag can lie together. */
export function tagOf(id: string): string {
  return id.slice(0, TAG_LENGTH)
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const SEXTETS = Int8Array.from({ length: 128 }, (_, code) => BASE64URL.indexOf(String.fromCharCode(code)))

/** The six bits that a character of base64url stands for; below 0 where it is none. */
export function sextetAt(text: string, at: number): number {
  const code = text.charCodeAt(at)
  return code < 128 ? SEXTETS[code]! : -1
}

/** 32 bits of a pseudonym or its tag, by FNV-1a. */
export function hashOf(pseudonym: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < pseudonym.length; i++) hash = Math.imul(hash ^ pseudonym.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
