import { grouped, show } from './show.ts'
import type { Rate } from './types.ts'

/** What reading a text gave: the value, or what is wrong with it and what to write. */
export type Reading<T> = { readonly value: T } | { readonly wrong: string }

/** The highest rate a bucket keeps exactly, in tokens a second. */
export const MAX_PER_SECOND = 1_000_000

/** The largest burst a bucket keeps exactly, in tokens. */
export const MAX_BURST = 1_000_000_000

/** The longest duration (milliseconds): Node's timers count no further than 24 days. */
export const MAX_DURATION = 24 * 86_400_000

export const DURATION = /^\d{1,12}(ms|s|m|h|d)$/
export const SIZE = /^\d{1,12}(B|KiB|MiB|GiB)$/
export const BYTE_RATE = /^\d{1,12}(B|KiB|MiB|GiB)\/s$/
export const PERCENTAGE = /^\d{1,3}(\.\d{1,6})?%$/
export const RATE = /^[1-9]\d{0,11}\/(s|min|h|d)$/

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }
const SECONDS: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400 }

/** Milliseconds of `250ms`, `20s`, `5m`, `1h` or `7d`, bounds included. The text must have the form of DURATION. */
export function readDuration(text: string, atLeast: number, atMost: number): Reading<number> {
  const value = Number.parseInt(text, 10) * MILLISECONDS[text.replace(/^\d+/, '')]!
  if (value > atMost) return { wrong: `${show(text)} is too long; write at most ${inUnit(atMost, MILLISECONDS)}` }
  if (value < atLeast) return { wrong: `${show(text)} is too short; write at least ${atLeast}ms` }
  return { value }
}

/** Bytes of `512B`, `16KiB` or `1MiB`, bounds included. The text must have the form of SIZE. */
export function readSize(text: string, atLeast: number, atMost: number): Reading<number> {
  const value = Number.parseInt(text, 10) * BYTES[text.replace(/^\d+/, '')]!
  if (value >= atLeast && value <= atMost) return { value }
  return { wrong: `${show(text)} is out of range; write from ${inUnit(atLeast, BYTES)} to ${inUnit(atMost, BYTES)}` }
}

/** Bytes a second of `500B/s` or `4KiB/s`, at most a gibibyte. The text must have the form of BYTE_RATE. */
export function readByteRate(text: string): Reading<number> {
  const reading = readSize(text.replace('/s', ''), 0, BYTES.GiB!)
  return 'value' in reading ? reading : { wrong: `${show(text)} is out of range; write from 0B/s to 1GiB/s` }
}

/** The share between 0 and 1 of `0%` to `100%`. The text must have the form of PERCENTAGE. */
export function readPercentage(text: string, atLeast: number): Reading<number> {
  const percent = Number.parseFloat(text)
  if (percent > 100) return { wrong: `${show(text)} is more than the whole; write from ${atLeast}% to 100%` }
  if (percent < atLeast) return { wrong: `${show(text)} is too little; write from ${atLeast}% to 100%` }
  return { value: percent / 100 }
}

/** The two whole numbers of `10/s`, `600/min`, `1200/h` or `10000/d`. The text must have the form of RATE. */
export function readRate(text: string): Reading<Rate> {
  const rate = { tokens: Number.parseInt(text, 10), seconds: SECONDS[text.replace(/^\d+\//, '')]! }
  if (isTooFast(rate)) {
    return {
      wrong: `${show(text)} is more than ${grouped(MAX_PER_SECOND)} a second; write at most ${MAX_PER_SECOND}/s`,
    }
  }
  return { value: rate }
}

const MEANT_RATE = /^(\d{1,9}) ?(?:\/|per) ?(\d{1,6})? ?([a-z]+)$/i
const UNITS = ['s', 'min', 'h', 'd']

/**
 * The rate that a text which is none is likely to mean, as it would be written: other words for the units (`10/sec`), and a count in a
 * longer time (`5/15m`), which is a rate in a longer unit with that count as its burst. Undefined where it cannot be told.
 */
export function meantRate(text: string): string | undefined {
  const [, count, periods, word] = MEANT_RATE.exec(text.trim()) ?? []
  const unit = UNITS.find((name) => name[0] === word?.[0]?.toLowerCase())
  if (unit === undefined || Number(count) === 0 || Number(periods) === 0) return undefined
  if (periods === undefined) return `${Number(count)}/${unit}`
  const seconds = Number(periods) * SECONDS[unit]!
  const exact = UNITS.find((name) => (Number(count) * SECONDS[name]!) % seconds === 0)
  const tokens =
    exact === undefined
      ? Math.floor((Number(count) * SECONDS.d!) / seconds)
      : (Number(count) * SECONDS[exact]!) / seconds
  return tokens === 0 ? undefined : `${tokens}/${exact ?? 'd'} with burst: ${Number(count)}`
}

/** Whether a rate is above what a bucket keeps exactly. */
export function isTooFast(rate: Rate): boolean {
  return rate.tokens > MAX_PER_SECOND * rate.seconds
}

/** A rate as the policy writes it. */
export function rateText(rate: Rate): string {
  const unit = Object.keys(SECONDS).find((name) => SECONDS[name] === rate.seconds)
  return `${rate.tokens}/${unit ?? `${rate.seconds}s`}`
}

/** A number in the largest unit that divides it. */
function inUnit(count: number, units: Record<string, number>): string {
  const unit = Object.keys(units).findLast((name) => count >= units[name]! && count % units[name]! === 0)
  return unit === undefined ? `${count}` : `${count / units[unit]!}${unit}`
}
