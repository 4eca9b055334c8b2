export type ServerTime = {
  /** The server's time (microseconds) at a local one, or 0 before the first answer. */
  at(localUs: number): number
  /** Takes note of an answer: the server's time was `serverUs` at some moment between the two local ones. */
  heard(serverUs: number, sentUs: number, receivedUs: number): void
}

/**
 * Knows what the server's clock says, from its answers alone. The distance between the clocks lies within what each answer
 * allows and moves only when it must: a late answer widens what is allowed and moves nothing, a clock that was set does.
 */
export function createServerTime(): ServerTime {
  let offsetUs: number | undefined
  return {
    at: (localUs) => (offsetUs === undefined ? 0 : Math.ceil(localUs + offsetUs)),
    heard(serverUs, sentUs, receivedUs) {
      const most = serverUs - sentUs
      offsetUs = Math.min(most, Math.max(serverUs - receivedUs, offsetUs ?? most))
    },
  }
}
