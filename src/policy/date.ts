import { show } from './show.ts'
import type { Reading } from './units.ts'

export const DATE =
  /^(\d{4})-(\d\d)-(\d\d)(?:T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d{1,3})?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/

/** Milliseconds since the epoch of `2027-01-01` (its first moment, UTC) or `2027-01-01T08:00:00Z`, of the form of DATE. */
export function readDate(text: string): Reading<number> {
  const [, year, month, day] = DATE.exec(text) ?? []
  // Date.parse takes the 30th of February for a day in March.
  const written = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)))
  const isReal = written.getUTCMonth() === Number(month) - 1 && written.getUTCDate() === Number(day)
  const value = Date.parse(text)
  if (!isReal || Number.isNaN(value)) {
    return { wrong: `${show(text)} is not in the calendar; write a date such as 2027-01-31` }
  }
  return { value }
}
