import { deserialize, serialize } from 'node:v8'
import type { Policy } from '../policy/types.ts'

/** A policy as text that survives JSON; it has Maps. */
export function packPolicy(policy: Policy): string {
  return serialize(policy).toString('base64')
}

export function unpackPolicy(packed: string): Policy {
  return deserialize(Buffer.from(packed, 'base64')) as Policy
}

/**
 * What one of several workers does of a policy: together they hold no more connections than it says, of clients or of the
 * upstream, at least one each. The delay before the drain is the primary's.
 */
export function shareOf(policy: Policy, workers: number): Policy {
  const { server, upstream } = policy
  const share = (whole: number) => Math.max(1, Math.floor(whole / workers))
  return {
    ...policy,
    server: { ...server, maxConnections: share(server.maxConnections), drainDelay: 0 },
    upstream: {
      ...upstream,
      maxConnections: share(upstream.maxConnections),
      // None stays none.
      maxQueue: Math.ceil(upstream.maxQueue / workers),
      maxStreams: Math.ceil(upstream.maxStreams / workers),
    },
  }
}
