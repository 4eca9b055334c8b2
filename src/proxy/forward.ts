import type { UpstreamPolicy } from '../policy/types.ts'
import { createByteBudget } from './upstream/byte-budget.ts'
import { Exchange, type ForwardOptions } from './upstream/exchange.ts'
import { createPool } from './upstream/pool.ts'

export { compileConnect, upstreamHost } from './upstream/connect.ts'
export { type ForwardOptions, requestHead } from './upstream/exchange.ts'
export { type ForwardFailure, failureOf } from './upstream/failure.ts'
export { createPlaces, type Sharer } from './upstream/places.ts'

export type Forwarder = {
  /** Sends the request upstream and streams the answer back, or calls `onFailure`. Never throws, never rejects. */
  forward(options: ForwardOptions): void
  close(): Promise<void>
}

/** Bytes of bodies that may wait in memory, of all requests and of all responses; what comes beyond them is not read ahead. */
const MAX_HELD_OF_REQUESTS = 32 * 1024 ** 2
const MAX_HELD_OF_RESPONSES = 64 * 1024 ** 2

/**
 * Forwards over pooled keep-alive connections. At most `max_connections` requests are under way; `max_queue` more wait, the
 * clients in turn, and beyond those a request fails at once with 503. Event streams stop counting among the former when they turn
 * out to be such, for they last: they have `max_streams` of their own.
 */
export function createForwarder(upstream: UpstreamPolicy, requestBuffer: number): Forwarder {
  const buffers = {
    requestBuffer,
    requestBudget: createByteBudget(MAX_HELD_OF_REQUESTS),
    responseBuffer: upstream.responseBuffer,
    responseBudget: createByteBudget(MAX_HELD_OF_RESPONSES),
  }
  const pool = createPool(upstream)
  return {
    forward: (options) => new Exchange(options, upstream, pool, buffers).begin(),
    close: pool.close,
  }
}
