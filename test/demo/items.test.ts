import t from 'tap'
import { isProblem, startDemo } from './demo-under-test.ts'

t.test('the first page has links to the next and the last', async (t) => {
  const demo = await startDemo(t)
  const { status, headers, json } = await demo.get('/items')
  t.equal(status, 200)
  t.match(json, { page: 1, per_page: 20, total: 1000 })
  t.equal(json.items.length, 20)
  t.equal(json.items[0].id, 1)
  t.equal(headers.get('cache-control'), 'private, max-age=0')
  t.equal(
    headers.get('link'),
    '</items?page=1&per_page=20>; rel="first", </items?page=2&per_page=20>; rel="next", </items?page=50&per_page=20>; rel="last"',
  )
})

t.test('following next reaches every item once', async (t) => {
  const demo = await startDemo(t)
  const ids: number[] = []
  for (let path: string | undefined = '/items?per_page=100'; path !== undefined; ) {
    const { json, headers } = await demo.get(path)
    ids.push(...json.items.map((item: { id: number }) => item.id))
    path = /<([^>]*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
  }
  t.same(
    ids,
    Array.from({ length: 1000 }, (_, index) => index + 1),
  )
})

t.test('a page in the middle has all four links, the last has no next', async (t) => {
  const demo = await startDemo(t)
  const relations = async (path: string) =>
    [...((await demo.get(path)).headers.get('link') ?? '').matchAll(/rel="(\w+)"/g)].map(([, rel]) => rel)
  t.same(await relations('/items?page=3'), ['first', 'prev', 'next', 'last'])
  t.same(await relations('/items?page=50'), ['first', 'prev', 'last'])
})

t.test('a page beyond the end is empty, and its prev is the last', async (t) => {
  const demo = await startDemo(t)
  const { status, json, headers } = await demo.get('/items?page=70')
  t.equal(status, 200)
  t.same(json.items, [])
  t.match(headers.get('link'), '</items?page=50&per_page=20>; rel="prev"')
})

t.test('the items are the same each time', async (t) => {
  const one = await startDemo(t)
  const two = await startDemo(t)
  t.same((await one.get('/items')).json, (await two.get('/items')).json)
})

t.test('a page that is none is told', async (t) => {
  const demo = await startDemo(t)
  const bad = [
    'page=0',
    'page=-1',
    'page=x',
    'page=',
    'page=1.5',
    'page=1e3',
    'page=1&page=2',
    'page=99999999999999999999',
    'per_page=0',
    'per_page=101',
    'page=%zz',
  ]
  for (const query of bad) {
    const found = await demo.get(`/items?${query}`)
    isProblem(t, found, 422, '/problems/invalid-query')
    t.match(found.json.detail, /^(per_)?page: .*write one whole number from 1 to/)
  }
})

t.test('HEAD has the header and no body', async (t) => {
  const demo = await startDemo(t)
  const response = await fetch(`${demo.url}/items`, { method: 'HEAD' })
  t.equal(response.status, 200)
  t.match(response.headers.get('link'), 'rel="next"')
  t.equal(await response.text(), '')
})
