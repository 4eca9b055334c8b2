import type { Hono } from 'hono'
import type { DemoEnv } from './hono-env.ts'
import { readPage, respondPage, slice } from './paging.ts'

/** Something harmless to scrape. */
export type Item = { readonly id: number; readonly name: string; readonly price_cents: number }

const COUNT = 1000
const MATERIALS = ['Oak', 'Steel', 'Glass', 'Linen', 'Copper', 'Cork', 'Wool', 'Slate']
const THINGS = ['Lamp', 'Chair', 'Kettle', 'Clock', 'Shelf', 'Bowl', 'Frame']

/** The same thousand items in every process. */
export const items: readonly Item[] = Array.from({ length: COUNT }, (_, index) => ({
  id: index + 1,
  name: `${MATERIALS[index % MATERIALS.length]} ${THINGS[index % THINGS.length]} ${index + 1}`,
  // A stride coprime to the range: prices look mixed and are the same everywhere.
  price_cents: 500 + ((index * 7919) % 9500),
}))

/** `GET /items`: the items, paged. */
export function itemRoutes(app: Hono<DemoEnv>): void {
  app.get('/items', (c) => {
    const page = readPage(c)
    if (page instanceof Response) return page
    return respondPage(c, 'items', page, slice(items, page))
  })
}
