const FIRST = 250
const MOST = 30_000

/** Milliseconds until the place of a worker is filled again that died young, after so many others that did. */
export function backOff(deaths: number): number {
  return Math.min(MOST, FIRST * 2 ** Math.min(deaths, 16))
}
