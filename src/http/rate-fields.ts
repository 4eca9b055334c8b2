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
