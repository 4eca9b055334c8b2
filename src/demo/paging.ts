import type { Context } from 'hono'
import { wholeQuery } from './query.ts'

/** A page that was asked for: 1-based. */
export type Page = { readonly page: number; readonly perPage: number }

/** What a page holds, and how many there are on all pages. */
export type Slice<T> = { readonly total: number; readonly entries: readonly T[] }

const PER_PAGE = 20
const MAX_PER_PAGE = 100
const MAX_PAGE = 1_000_000

/** Reads `page` and `per_page`; a 422 problem to answer with when either is not a number within its range. */
export function readPage(c: Context): Page | Response {
  const page = wholeQuery(c, 'page', { min: 1, max: MAX_PAGE }, 1)
  if (page instanceof Response) return page
  const perPage = wholeQuery(c, 'per_page', { min: 1, max: MAX_PER_PAGE }, PER_PAGE)
  if (perPage instanceof Response) return perPage
  return { page, perPage }
}

/** The part of `all` that `page` asks for; empty beyond the end. */
export function slice<T>(all: readonly T[], { page, perPage }: Page): Slice<T> {
  return { total: all.length, entries: all.slice((page - 1) * perPage, page * perPage) }
}

/** Answers with a page of `name` and a Link header (RFC 8288) of its first, prev, next and last, as far as they exist. */
export function respondPage<T>(
  c: Context,
  name: string,
  { page, perPage }: Page,
  { total, entries }: Slice<T>,
): Response {
  const last = Math.max(1, Math.ceil(total / perPage))
  const relations: [string, number][] = [['first', 1]]
  if (page > 1) relations.push(['prev', Math.min(page - 1, last)])
  if (page < last) relations.push(['next', page + 1])
  relations.push(['last', last])
  // Path-relative, so that the links hold behind any proxy, whatever its name.
  const links = relations.map(([rel, to]) => `</${name}?page=${to}&per_page=${perPage}>; rel="${rel}"`)
  c.header('Link', links.join(', '))
  // Not shareable, so that a proxy may add each client's own rate fields.
  c.header('Cache-Control', 'private, max-age=0')
  return c.json({ page, per_page: perPage, total, [name]: entries })
}
