import { DATE, readDate } from '../policy/date.ts'
import { printable, show } from '../policy/show.ts'
import { DURATION, readDuration } from '../policy/units.ts'

/** A member that is not as it must be; the message gives the value, the rule and what to write. */
export class BadMember extends Error {}

type Body = Readonly<Record<string, unknown>>

/** A pseudonym, and that of a slot which many share. */
const KEY = /^[\w-]{22}(~\d{1,2})?$/
const MAX_REASON = 300
/** Nobody looks again at what was ordered so long ago. */
const MAX_ORDER = 366 * 86_400_000

/** The members of a body that a route knows; another is an error, for it may be a misspelled one. */
export function onlyMembers(body: Body, known: readonly string[]): void {
  const stranger = Object.keys(body).find((name) => !known.includes(name))
  if (stranger !== undefined)
    throw new BadMember(`${show(stranger)} is not a member of this; write ${known.join(', ')}`)
}

export function readKey(value: unknown): string {
  if (typeof value === 'string' && KEY.test(value)) return value
  throw new BadMember(
    'key is not a pseudonym; write its 22 characters as a log line, the page or POST /api/lookup gives them',
  )
}

/** Why it is done: kept in the list of what was done, and in the log. */
export function readReason(value: unknown): string {
  const reason = typeof value === 'string' ? printable(value).trim() : ''
  if (reason !== '' && reason.length <= MAX_REASON) return reason
  throw new BadMember(`reason is missing or longer than ${MAX_REASON} characters; write why this is done`)
}

/** When an order ends (milliseconds since the epoch), by `for`, a duration, or `until`, an instant. */
export function readEnd(body: Body, nowMs: number): number {
  const endMs = body.for === undefined ? readUntil(body.until) : nowMs + readFor(body.for)
  if (body.for !== undefined && body.until !== undefined) throw new BadMember('for and until are both there; write one')
  if (endMs <= nowMs) throw new BadMember('until has passed; write an instant to come')
  if (endMs > nowMs + MAX_ORDER)
    throw new BadMember('that is more than a year; write what is to last in the policy, under deny or exempt')
  return endMs
}

function readFor(value: unknown): number {
  const read = typeof value === 'string' && DURATION.test(value) ? readDuration(value, 1, MAX_ORDER) : null
  if (read !== null && 'value' in read) return read.value
  throw new BadMember(`for: ${read?.wrong ?? `${show(value)} is not a duration; write 15m, 1h or 7d`}`)
}

function readUntil(value: unknown): number {
  const read = typeof value === 'string' && DATE.test(value) ? readDate(value) : null
  if (read !== null && 'value' in read) return read.value
  throw new BadMember(`until: ${read?.wrong ?? `${show(value)} is not a time; write 2030-01-31T12:00:00Z, or for: 1h`}`)
}

/** A text of what to look up; null where it is left out. Its problem never shows it: it may be a secret. */
export function readShown(body: Body, name: string): string | null {
  const value = body[name]
  if (value === undefined || value === '') return null
  // What a header field can hold, and one line.
  if (typeof value === 'string' && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value
  throw new BadMember(`${name} is not a text that a header field can hold`)
}
