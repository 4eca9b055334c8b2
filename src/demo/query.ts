import type { Context } from 'hono'
import { problem } from './problem.ts'

/** The whole numbers that a query parameter may take. */
export type Range = { readonly min: number; readonly max: number }

/** Decimal digits only: no sign, no exponent, no spaces, and too few of them to lose precision. */
const WHOLE = /^\d{1,15}$/

/**
 * A query parameter as a whole number within `range`; `otherwise` when it is absent (and a problem when that is
 * undefined too). Anything else, an empty or a repeated parameter included, is a 422 problem to answer with.
 */
export function wholeQuery(c: Context, name: string, range: Range, otherwise?: number): number | Response {
  const values = c.req.queries(name) ?? []
  if (values.length === 0 && otherwise !== undefined) return otherwise
  const [text = ''] = values
  const value = WHOLE.test(text) ? Number(text) : Number.NaN
  if (values.length === 1 && value >= range.min && value <= range.max) return value
  const found = values.length === 0 ? 'is missing' : `'${values.join(', ').slice(0, 40)}' is not acceptable`
  const detail = `${name}: ${found}; write one whole number from ${range.min} to ${range.max}`
  return problem(422, { type: 'invalid-query', detail })
}
