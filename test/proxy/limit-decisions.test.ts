import t, { type Test } from 'tap'
import type { Policy } from '../../src/policy/types.ts'
import { type PolicyChanges, startTestApp } from '../fixtures/app.ts'
import { EVERYTHING, limitOf } from '../fixtures/policy.ts'
import { ask, get } from '../fixtures/raw-client.ts'
import { startUpstream } from '../fixtures/upstream.ts'

const OUTCOMES = ['allowed', 'limited', 'would_limit', 'uncharged'] as const
const slow = { rate: { tokens: 1, seconds: 86_400 } } as const
const all = limitOf({ name: 'all', per: 'global', burst: 10, ...slow })
const login = limitOf({ name: 'login', per: 'global', burst: 3, ...slow, match: { ...EVERYTHING, paths: ['/login'] } })
const shade = limitOf({ name: 'shade', per: 'global', burst: 4, ...slow, mode: 'shadow' })

type Counts = Record<string, Partial<Record<(typeof OUTCOMES)[number], number>>>

/** A proxy, how to send it requests, and what it counted of its limits: zeros left out. */
async function startCounted(t: Test, changes: PolicyChanges & { readonly limits: Policy['limits'] }) {
  const upstream = await startUpstream(t)
  const test = await startTestApp(t, { ...changes, upstream: { url: upstream.url } })
  const send = async (path: string, count: number) => {
    for (let i = 0; i < count; i++) await ask(t, test.url, get(path))
  }
  async function counts(): Promise<Counts> {
    await test.idle()
    const found: Counts = {}
    for (const { name: limit } of changes.limits) {
      found[limit] = {}
      for (const outcome of OUTCOMES) {
        const count = await test.metric('sluice_limit_decisions_total', { limit, outcome })
        if (count > 0) found[limit][outcome] = count
      }
    }
    return found
  }
  return { ...test, send, counts, upstream }
}

/** The tokens that the bucket of each limit has lost, as `explain` of the admin port sees them. */
async function charged(adminUrl: string): Promise<Record<string, number>> {
  const path = '/api/explain?url=/login&from=127.0.0.1'
  const explained = (await (await fetch(adminUrl + path)).json()) as {
    limits: { limit: string; buckets: { burst: number; before: number }[] }[]
  }
  return Object.fromEntries(explained.limits.map(({ limit, buckets: [own] }) => [limit, own!.burst - own!.before]))
}

t.test('each limit counts each request that it applied to once, and as allowed only what it charged', async (t) => {
  const { send, counts, adminUrl } = await startCounted(t, { limits: [all, login, shade] })
  await send('/login', 8)
  t.same(await counts(), {
    all: { allowed: 3, uncharged: 5 },
    login: { allowed: 3, limited: 5 },
    shade: { allowed: 3, uncharged: 5 },
  })
  await send('/', 9)
  await send('/login', 2)
  const counted = await counts()
  t.same(counted, {
    all: { allowed: 10, limited: 4, uncharged: 5 },
    login: { allowed: 3, limited: 7 },
    shade: { allowed: 4, would_limit: 10, uncharged: 5 },
  })
  t.same(await charged(adminUrl), { all: 10, login: 3, shade: 4 })
  const stats = (await (await fetch(`${adminUrl}/api/stats`)).json()) as { limits: unknown }
  t.match(stats.limits, [
    { name: 'all', allowed: 10, limited: 4, would_limit: 0, uncharged: 5 },
    { name: 'login', allowed: 3, limited: 7, would_limit: 0, uncharged: 0 },
    { name: 'shade', allowed: 4, limited: 0, would_limit: 10, uncharged: 5 },
  ])
})

t.test('in a global shadow, where the request passes, too', async (t) => {
  const { send, counts, adminUrl, upstream } = await startCounted(t, { limits: [all, login], mode: 'shadow' })
  await send('/login', 8)
  t.same(await counts(), { all: { allowed: 3, uncharged: 5 }, login: { allowed: 3, would_limit: 5 } })
  t.same(await charged(adminUrl), { all: 3, login: 3 })
  t.equal(upstream.seen.length, 8)
})

t.test('where a limit denies because the client left out its key', async (t) => {
  const keyed = limitOf({ name: 'keyed', per: 'principal', onMissing: 'deny' })
  const { send, counts } = await startCounted(t, { limits: [all, keyed, shade] })
  await send('/', 2)
  t.same(await counts(), { all: { uncharged: 2 }, keyed: { limited: 2 }, shade: { uncharged: 2 } })
})
