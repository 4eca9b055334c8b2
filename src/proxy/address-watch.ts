import type { Clock } from '../clock.ts'
import { type Address, compileCidrs } from '../identity/address.ts'
import type { ClientAddress } from '../identity/client-address.ts'
import type { Logger } from '../log.ts'
import { NAMED_NETWORKS } from '../policy/address.ts'

export type AddressWatch = {
  /** Notes whom a request was taken for. `isForwarded`: its peer is not trusted, and sent forwarding fields. */
  note(client: ClientAddress, isForwarded: boolean): void
  /** How many networks of proxies are trusted from now on. */
  use(trustedProxies: number): void
}

const MINUTE_US = 60_000_000
const WINDOW_US = 10 * MINUTE_US
/** Of fewer requests nothing follows. */
const MIN_REQUESTS = 1000

/**
 * Tells of the mistake that makes one network of all clients: a proxy in front that the policy does not trust. Certain where
 * a private peer sends forwarding fields and nobody is trusted, an error each minute; likely where most requests of ten
 * minutes come from one address, a warning. A comparison a request, and one address as its whole state.
 */
export function createAddressWatch({ clock, log }: { readonly clock: Clock; readonly log: Logger }): AddressWatch {
  const isPrivate = compileCidrs(Object.values(NAMED_NETWORKS).flat())
  let trusted = 0
  let toldUs = Number.NEGATIVE_INFINITY
  let window = { startUs: clock.nowUs(), requests: 0 }
  // The majority vote of Boyer and Moore: an address that most requests have is the candidate at the end.
  let candidate = ''
  let lead = 0
  let hits = 0

  function tellOfForwarding({ address }: ClientAddress): void {
    const nowUs = clock.nowUs()
    if (trusted > 0 || nowUs - toldUs < MINUTE_US || !isPrivate(address)) return
    toldUs = nowUs
    log.error(
      'a private peer sends forwarding fields and nobody is trusted, so that all clients behind it count as one network: write identity.trusted_proxies',
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
    // Its hits since it became the candidate: fewer than all of them, so that what is told is true.
    if (requests >= MIN_REQUESTS && hits > requests / 2) {
      log.warn(
        { requests, of_one_address: hits },
        'most requests come from one address: if that is a proxy, write identity.trusted_proxies',
      )
    }
    window = { startUs: nowUs, requests: 0 }
    candidate = ''
    lead = 0
    hits = 0
  }

  return {
    note(client, isForwarded) {
      if (isForwarded) tellOfForwarding(client)
      vote(client.address)
      // The clock is looked at once in a while only.
      if (++window.requests % 256 !== 0) return
      const nowUs = clock.nowUs()
      if (nowUs - window.startUs >= WINDOW_US) endWindow(nowUs)
    },
    use(trustedProxies) {
      trusted = trustedProxies
    },
  }
}
