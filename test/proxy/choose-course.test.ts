import t from 'tap'
import { parseAddress } from '../../src/identity/address.ts'
import type { RequestEvidence } from '../../src/identity/identify.ts'
import type { Policy } from '../../src/policy/types.ts'
import { chooseCourse } from '../../src/proxy/choose-course.ts'
import { createOrders, type Order } from '../../src/proxy/orders.ts'
import { compileRules } from '../../src/proxy/rules.ts'
import { AMPLE, policyWith } from '../fixtures/app.ts'
import { limitOf } from '../fixtures/policy.ts'
import { factsOf, type RequestLike } from './facts-of.ts'

const MATCH = { paths: [], methods: [], notMethods: [], hosts: [], headers: [] }
const DENY = {
  ...{ name: 'bad', cidr: [], until: null, reason: 'abuse', status: 410 },
  match: { ...MATCH, paths: ['/bad', '/both'] },
}
const EXEMPT = {
  ...{ name: 'health', cidr: [], until: null, reason: null },
  match: { ...MATCH, paths: ['/health', '/both'] },
}
const KEYED = limitOf({ name: 'keyed', per: [{ kind: 'cookie', name: 'a' }], match: { ...MATCH, paths: ['/keyed'] } })

/** Chooses under a policy with a deny entry, an exemption and limits; `order` is on the client's network. */
function choosing(changes: Partial<Policy> = {}, kind: Order['kind'] | null = null) {
  const limits = [{ ...AMPLE, match: { ...MATCH, paths: ['/limited', '/both'] } }, KEYED]
  const policy = policyWith({ deny: [DENY], exempt: [EXEMPT], limits, ...changes })
  const rules = compileRules(policy, { wallMs: () => 0 })
  const client = { address: parseAddress('192.0.2.1')!, isPeerTrusted: false }
  const orders = createOrders()
  const key = rules.identify.network(client.address).id
  if (kind !== null) orders.place({ kind, key, untilMs: 1000, reason: 'r' }, 0)
  const surroundings = { via: 'sluice-1', orders, nowUs: () => 7, wallMs: () => 0 }
  return (request: RequestLike) => chooseCourse(surroundings, rules, factsOf(request), client, 3)
}

t.test('a loop, deny, ban, exempt, grant, the limits: each beats those behind it', async (t) => {
  const loop = { fields: ['Via', '1.1 sluice-1'] }
  const [plain, banned, granted] = [choosing(), choosing({}, 'ban'), choosing({}, 'grant')]
  for (const [choose, request, kind, route] of [
    [banned, { ...loop, url: '/bad' }, 'looped', 'default'],
    [banned, { url: '/bad' }, 'denied', 'bad'],
    [granted, { url: '/both' }, 'denied', 'bad'],
    [banned, { url: '/health' }, 'banned', 'health'],
    [banned, { url: '/limited' }, 'banned', AMPLE.name],
    [granted, { url: '/health' }, 'exempt', 'health'],
    [granted, { url: '/limited' }, 'granted', AMPLE.name],
    [granted, { url: '/nothing' }, 'granted', 'default'],
    [plain, { url: '/health' }, 'exempt', 'health'],
    [plain, { url: '/nothing' }, 'free', 'default'],
    [plain, { url: '/keyed', fields: ['Cookie', 'a=1; a=2'] }, 'malformed', 'keyed'],
    [plain, { url: '/limited' }, 'limited', AMPLE.name],
  ] as const) {
    t.match(choose(request), { kind, route }, `${request.url} ${kind}`)
  }
})

t.test('a denial says its status; in shadow it has none, and deny still beats a ban', async (t) => {
  t.match(choosing()({ url: '/bad' }), { entry: { name: 'bad' }, status: 410 })
  t.match(choosing({}, 'ban')({ url: '/limited' }), { order: { kind: 'ban' }, status: 403 })
  const shadow = choosing({ mode: 'shadow' }, 'ban')
  t.match(shadow({ url: '/bad' }), { kind: 'denied', entry: { name: 'bad' }, status: null })
  t.match(shadow({ url: '/limited' }), { kind: 'banned', status: null })
})

t.test('where limits decide, what they decide on is told', async (t) => {
  const { judged, evidence } = choosing()({ url: '/limited' })
  t.match(judged, { number: 3, clockUs: 7, wallMs: 0, keys: null })
  t.same(
    judged?.plans.map(({ limit }) => limit.name),
    [AMPLE.name],
  )
  t.equal(judged?.evidence, evidence as RequestEvidence)
})

t.test('whatever it comes to, it has the same fields in the same order', async (t) => {
  const courses = ['/bad', '/health', '/nothing', '/limited'].map((url) => choosing()({ url }))
  const shapes = new Set(courses.map((course) => Object.keys(course).join()))
  t.equal(shapes.size, 1)
})
