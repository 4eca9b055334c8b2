import * as z from 'zod'
import { either, grouped, show } from './show.ts'
import {
  DURATION,
  MAX_DURATION,
  PERCENTAGE,
  type Reading,
  readDuration,
  readPercentage,
  readSize,
  SIZE,
} from './units.ts'

/** How a kind of value is spoken of: `'x' is not <what>; write <write>`. */
type Wording = {
  readonly what: string
  readonly write: string
  /** What to write in the place of a text that is likely to mean it; undefined where that cannot be guessed. */
  readonly meant?: (text: string) => string | undefined
}

/** A text of some form, read into a value. `form` goes into the JSON Schema; `read` says what is wrong beyond it. */
export function text<T>(wording: Wording, form: RegExp, read: (text: string) => Reading<T>) {
  const error = sentence(wording, (value) => form.test(value) && 'value' in read(value))
  return z
    .string({ error })
    .regex(form, { error })
    .transform((value, context): T => {
      const reading = read(value)
      if ('value' in reading) return reading.value
      context.issues.push({ code: 'custom', message: reading.wrong, input: value })
      return z.NEVER
    })
}

/** A text taken as it is. */
export function plainText(wording: Wording, form: RegExp) {
  const error = sentence(wording, (value) => form.test(value))
  return z.string({ error }).regex(form, { error })
}

/** A duration in milliseconds, bounds included. */
export function duration(atLeast = 1, atMost = MAX_DURATION) {
  const wording = { what: 'a duration', write: 'a whole number and a unit, such as 250ms, 20s, 5m, 1h or 7d' }
  return text(wording, DURATION, (value) => readDuration(value, atLeast, atMost))
}

/** A size in bytes, bounds included. */
export function size(atLeast: number, atMost: number) {
  const wording = { what: 'a size', write: 'a whole number and a unit, such as 512B, 16KiB or 1MiB' }
  return text(wording, SIZE, (value) => readSize(value, atLeast, atMost))
}

/** A share between 0 and 1, written as a percentage; the lowest one included. */
export function percentage(atLeast = 0) {
  const write = `one from ${atLeast}% to 100%, with its sign`
  return text({ what: 'a percentage', write }, PERCENTAGE, (value) => readPercentage(value, atLeast))
}

/** A whole number, bounds included. */
export function whole(atLeast: number, atMost: number) {
  const write = `a whole number from ${grouped(atLeast)} to ${grouped(atMost)}`
  const error = (issue: { readonly input?: unknown }) =>
    isAbsent(issue.input)
      ? missing(issue.input, write)
      : `${show(issue.input)} is out of range or not whole; write ${write}`
  return z.int({ error }).min(atLeast, { error }).max(atMost, { error })
}

/** A whole number, bounds included, or a word instead. */
export function wholeOr<const Word extends string>(atLeast: number, atMost: number, word: Word) {
  const write = `a whole number from ${grouped(atLeast)} to ${grouped(atMost)}, or ${word}`
  const error = ({ input }: { readonly input?: unknown }) =>
    isAbsent(input) ? missing(input, write) : `${show(input)} is neither in range and whole nor ${word}; write ${write}`
  return z.union([z.int({ error }).min(atLeast, { error }).max(atMost, { error }), z.literal(word)], { error })
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  const write = either(words)
  const error = (issue: { readonly input?: unknown }) =>
    isAbsent(issue.input) ? missing(issue.input, write) : `${show(issue.input)} is not a choice here; write ${write}`
  return z.enum(words, { error })
}

/** `true` or `false`. */
export function flag() {
  return z.boolean({ error: sentence({ what: 'true or false', write: 'true or false' }) })
}

/** A key that may be left out; null where it is. Unlike `nullable`, an empty value is still a problem. */
export function optional<T extends z.ZodType>(schema: T) {
  return schema.optional().transform((value) => value ?? null)
}

/** One value or a list of at least one. */
export function oneOrMany<T extends z.ZodType>(schema: T) {
  return z.union([schema, list(schema)])
}

/** A list of at least one: an empty one would mean everything to one reader and nothing to another. */
export function list<T extends z.ZodType>(schema: T) {
  return z.array(schema).min(1, { error: 'is an empty list; leave the key out or write at least one entry' })
}

/** `wouldDo` says whether a text is fine; a number or a boolean that YAML made of such a text only lacks quotes. */
function sentence({ what, write, meant }: Wording, wouldDo: (text: string) => boolean = () => false) {
  return ({ input }: { readonly input?: unknown }) => {
    if (isAbsent(input)) return missing(input, write)
    const isQuoteMissing = (typeof input === 'number' || typeof input === 'boolean') && wouldDo(String(input))
    if (isQuoteMissing) return `${input} is read as a ${typeof input}; write '${input}' in quotes`
    const guess = typeof input === 'string' ? meant?.(input) : undefined
    return `${show(input)} is not ${what}; write ${guess ?? write}`
  }
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null
}

function missing(value: unknown, write: string): string {
  return `${value === null ? 'is empty' : 'is missing'}; write ${write}`
}
