import type { SignedDevice } from './evidence.ts'
import type { Conduct } from './identity.ts'

/** The highest grade: so many good ten-minute windows say all that they can. */
const MAX_GRADE = 3
const AGED_GRADE = 2
/** Milliseconds of age from which a mark may count as aged. */
const AGED_MS = 3_600_000
const WINDOW_US = 600_000_000
/** The share of refused requests up to which a window is a good one. */
const GOOD_SHARE = 0.2

/** The conduct of a device that begins with a grade. */
export function beginConduct(grade: number, nowUs: number): Conduct {
  return { grade, window: Math.floor(nowUs / WINDOW_US), requests: 0, refused: 0 }
}

/** Notes how a request ended. A ten-minute window in which few were refused raises the grade by one. */
export function noteConduct(conduct: Conduct, isRefused: boolean, nowUs: number): void {
  const window = Math.floor(nowUs / WINDOW_US)
  // Later ones only: a request that waited for the store may come behind one of the next window.
  if (window > conduct.window) {
    const isGood = conduct.requests > 0 && conduct.refused <= conduct.requests * GOOD_SHARE
    if (isGood && conduct.grade < MAX_GRADE) conduct.grade++
    conduct.window = window
    conduct.requests = 0
    conduct.refused = 0
  }
  conduct.requests++
  if (isRefused) conduct.refused++
}

/** Whether a device counts as aged: an hour old, and well-behaved for two windows on the network it is on. */
export function isAged(device: SignedDevice, grade: number, wallMs: number): boolean {
  return device.isHome && grade >= AGED_GRADE && wallMs - device.issuedMs >= AGED_MS
}
