import { parseList, serializeList } from 'structured-headers'

/**
 * The fields of draft-ietf-httpapi-ratelimit-headers-11 and their de-facto forerunners. A limit's name needs no escaping
 * in a Structured Fields string (RFC 9651): [a-z0-9_-] only.
 */

/** A member of RateLimit-Policy: `"device";q=30;w=30`, a quota of 30 that fills in 30 seconds. */
export function policyMember(name: string, burst: number, windowSeconds: number): string {
  return `"${name}";q=${burst};w=${windowSeconds}`
}

/** A member of RateLimit: `"device";r=0;t=7`, nothing left and 7 seconds to the next token. */
export function limitMember(name: string, remaining: number, resetSeconds: number): string {
  return `"${name}";r=${remaining};t=${resetSeconds}`
}

/** Microseconds as whole seconds, rounded up: waiting that long is always enough. */
export function seconds(us: number): number {
  return Math.ceil(us / 1e6)
}

/**
 * An upstream's own field value without the members that bear our names; empty when nothing is left. What does not parse
 * as a list whose members are strings (older drafts' `limit=10, reset=5`) is dropped.
 */
export function upstreamMembers(field: string, ours: readonly string[]): string {
  try {
    const kept = parseList(field).filter(([value]) => typeof value === 'string' && !ours.includes(value))
    return kept.length === 0 ? '' : serializeList(kept)
  } catch {
    return ''
  }
}

/**
 * Whether a shared cache may keep the answer (RFC 9111 section 3): fields that are one client's must not stand there.
 * Where nothing is said of a lifetime, an answer with a date to guess one from counts as kept (section 4.2.2).
 */
export function isSharedCacheable(
  method: string,
  isAuthorized: boolean,
  answer: { readonly cacheControl: string; readonly hasExpires: boolean; readonly hasLastModified: boolean },
): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const control = answer.cacheControl.toLowerCase()
  // `private="name"` keeps only those fields from shared caches, not the answer (section 5.2.2.7).
  if (/(?:^|[\s,])(?:private(?!\s*=)|no-store)(?:[\s,=]|$)/.test(control)) return false
  const isPublic = /(?:^|[\s,])(?:public|s-maxage\s*=\s*"?0*[1-9]|must-revalidate)/.test(control)
  if (isAuthorized) return isPublic
  if (isPublic || /(?:^|[\s,])max-age\s*=\s*"?0*[1-9]/.test(control)) return true
  if (/(?:^|[\s,])(?:no-cache|max-age|s-maxage)(?:[\s,=]|$)/.test(control)) return false
  return answer.hasExpires || answer.hasLastModified
}
