import type { Clock } from '../clock.ts'
import { type Address, compileCidrs } from '../identity/address.ts'
import type { ClientAddress } from '../identity/client-address.ts'
import type { Logger } from '../log.ts'
import { NAMED_NETWORKS } from '../policy/address.ts'

export type TrustedProxyCheck = {
  /** Counts a request. `isForwarded`: its peer is not trusted, and sent forwarding headers. */
  note(client: ClientAddress, isForwarded: boolean): void
  /** Sets how many proxy networks are trusted from now on. */
  use(trustedProxies: number): void
}

const MINUTE_US = 60_000_000
const WINDOW_US = 10 * MINUTE_US
/** Fewer requests show nothing. */
const MIN_REQUESTS = 1000

/**
 * Reports a proxy in front that the policy does not trust: all its clients would share one limit. It logs an error each minute
 * while a private peer sends forwarding headers and no proxy is trusted, and a warning when most requests of ten minutes came
 * from one address. It costs one comparison a request and keeps one address.
 */
export function createTrustedProxyCheck({
  clock,
  log,
}: {
  readonly clock: Clock
  readonly log: Logger
}): TrustedProxyCheck {
  const isPrivate = compileCidrs(Object.values(NAMED_NETWORKS).flat())
  let trusted = 0
  let warnedUs = Number.NEGATIVE_INFINITY
  let window = { startUs: clock.nowUs(), requests: 0 }
  // The majority vote of Boyer and Moore: an address with most requests is the candidate at the end.
  let candidate = ''
  let lead = 0
  let hits = 0

  function warnUntrusted({ address }: ClientAddress): void {
    const nowUs = clock.nowUs()
    if (trusted > 0 || nowUs - warnedUs < MINUTE_US || !isPrivate(address)) return
    warnedUs = nowUs
    log.error(
      { peer: address.text },
      'untrusted private peer sends forwarding headers: all clients behind it share one limit; add it to identity.trusted_proxies',
    )
  }

  function vote({ text }: Address): void {
    if (text === candidate) {
      lead++
      hits++
    } else if (lead > 0) lead--
    else {
      candidate = text
      lead = 1
      hits = 1
    }
  }

  function endWindow(nowUs: number): void {
    const { requests } = window
    // Counted since it became the candidate, so the share is never overstated.
    if (requests >= MIN_REQUESTS && hits > requests / 2) {
      log.warn(
        { requests, of_one_address: hits },
        'most requests come from one address: if it is a proxy, add it to identity.trusted_proxies',
      )
    }
    window = { startUs: nowUs, requests: 0 }
    candidate = ''
    lead = 0
    hits = 0
  }

  return {
    note(client, isForwarded) {
      if (isForwarded) warnUntrusted(client)
      vote(client.address)
      // Reading the clock costs more than this count.
      if (++window.requests % 256 !== 0) return
      const nowUs = clock.nowUs()
      if (nowUs - window.startUs >= WINDOW_US) endWindow(nowUs)
    },
    use(trustedProxies) {
      trusted = trustedProxies
    },
  }
}
