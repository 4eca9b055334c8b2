import { parseList } from 'structured-headers'
import t from 'tap'
import { isSharedCacheable, readCaching } from '../../src/http/caching.ts'
import { fieldsOf } from '../../src/http/fields.ts'
import type { Decision, LimitOutcome } from '../../src/limiter/decision.ts'
import { bindingOf } from '../../src/limiter/limiter.ts'
import { planLimit } from '../../src/limiter/plan.ts'
import type { Limit } from '../../src/policy/types.ts'
import { addRateFields, type RateFields, rateFields } from '../../src/proxy/answer-fields.ts'
import { limitOf } from '../fixtures/policy.ts'

function outcomeOf(limit: Partial<Limit> = {}, changes: Partial<LimitOutcome> = {}): LimitOutcome {
  return {
    plan: planLimit(limitOf(limit), 1),
    outcome: 'allowed',
    remaining: 29,
    waitUs: 0,
    nextUs: 1_000_000,
    ...changes,
  }
}

function allowed(...outcomes: LimitOutcome[]): Decision {
  return { verdict: 'allowed', path: 'local', outcomes, binding: bindingOf(outcomes) }
}

function limited(...outcomes: LimitOutcome[]): Decision {
  return { verdict: 'limited', path: 'local', outcomes, binding: bindingOf(outcomes)! }
}

const NOW_MS = 1_700_000_000_500
const LEGACY_NAMES = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset']

t.test('every limit that applies is named, and the binding one in numbers', async (t) => {
  const decision = allowed(
    outcomeOf({ name: 'device', burst: 30 }, { remaining: 12, nextUs: 700_000 }),
    outcomeOf({ name: 'login', burst: 10, rate: { tokens: 10, seconds: 60 } }, { remaining: 3, nextUs: 5_000_001 }),
  )
  t.same(rateFields(decision, 'off', NOW_MS, null), {
    names: ['device', 'login'],
    policy: '"device";q=30;w=30, "login";q=10;w=60',
    limit: '"login";r=3;t=6',
    legacy: [],
  })
})

t.test('a limit that does not show stays hidden, also where it binds', async (t) => {
  const shown = outcomeOf({ name: 'shown' }, { remaining: 20 })
  const hidden = outcomeOf({ name: 'hidden', headers: false }, { remaining: 0, outcome: 'limited', waitUs: 9e6 })
  const fields = rateFields(limited(shown, hidden), 'off', NOW_MS, 9)
  t.match(fields, { names: ['shown'], limit: '"shown";r=20;t=1' })
  t.notMatch(JSON.stringify(fields), /hidden/)
  t.equal(rateFields(limited(hidden), 'off', NOW_MS, 9), null)
})

t.test('a limit in shadow does not show, whatever it says', async (t) => {
  const enforced = outcomeOf({ name: 'enforced' })
  for (const outcome of ['allowed', 'would_limit'] as const) {
    const shadow = outcomeOf({ name: 'shadow', mode: 'shadow' }, { outcome, remaining: 0 })
    t.match(rateFields(allowed(shadow, enforced), 'epoch', NOW_MS, null), { names: ['enforced'] })
    t.equal(rateFields(allowed(shadow), 'epoch', NOW_MS, null), null)
  }
})

t.test('where the whole policy is in shadow there are no fields', async (t) => {
  for (const outcome of ['allowed', 'would_limit'] as const) {
    const decision: Decision = {
      verdict: 'allowed',
      path: 'local',
      outcomes: [outcomeOf({}, { outcome })],
      binding: null,
    }
    t.equal(rateFields(decision, 'delta', NOW_MS, null), null)
  }
})

t.test('where nothing was asked of the limits there are no fields', async (t) => {
  const plan = planLimit(limitOf({ per: 'principal', onMissing: 'deny' }), 1)
  for (const verdict of ['missing', 'unavailable'] as const) {
    t.equal(rateFields({ verdict, limit: plan, path: 'local', outcomes: [], binding: null }, 'epoch', NOW_MS, 1), null)
  }
  t.equal(rateFields(allowed(), 'off', NOW_MS, null), null)
})

t.test('the time to the next token is never above Retry-After', async (t) => {
  const decision = limited(
    outcomeOf({ name: 'hidden', headers: false }, { outcome: 'limited', remaining: 0, waitUs: 2e6, nextUs: 2e6 }),
    outcomeOf({ name: 'slow' }, { remaining: 5, nextUs: 60e6 }),
  )
  t.equal(rateFields(decision, 'off', NOW_MS, 2)?.limit, '"slow";r=5;t=2')
  t.equal(rateFields(decision, 'off', NOW_MS, null)?.limit, '"slow";r=5;t=60')
})

t.test('legacy fields speak of the binding limit, with a date or a span', async (t) => {
  const decision = limited(outcomeOf({ burst: 30 }, { outcome: 'limited', remaining: 1, waitUs: 6_200_000, nextUs: 1 }))
  const values = (style: 'epoch' | 'delta') => rateFields(decision, style, NOW_MS, 7)?.legacy
  t.same(
    values('delta'),
    LEGACY_NAMES.flatMap((name, i) => [name, ['30', '1', '7'][i]]),
  )
  t.same(
    values('epoch'),
    LEGACY_NAMES.flatMap((name, i) => [name, ['30', '1', '1700000008'][i]]),
  )
})

const RATE: RateFields = { names: ['device'], policy: '"device";q=30;w=30', limit: '"device";r=29;t=1', legacy: [] }
const LEGACY: RateFields = { ...RATE, legacy: LEGACY_NAMES.flatMap((name) => [name, '1']) }

function answered(fields: readonly string[], rate = RATE, method = 'GET', isAuthorized = false): string[] {
  const upstream = fieldsOf(fields)
  const isKept = isSharedCacheable(method, isAuthorized, readCaching(upstream))
  const answer = isKept ? fields : addRateFields(upstream, rate)
  return lined(answer)
}

function lined(list: readonly string[]): string[] {
  return list.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${list[i + 1]}`] : []))
}

const OURS = ['RateLimit-Policy: "device";q=30;w=30', 'RateLimit: "device";r=29;t=1']

t.test("the fields come after the upstream's, which stay as they are", async (t) => {
  t.same(answered(['X-B', '1', 'set-cookie', 'a', 'Set-Cookie', 'b', 'X-b', '']), [
    'X-B: 1',
    'set-cookie: a',
    'Set-Cookie: b',
    'X-b: ',
    ...OURS,
  ])
})

t.test("members of the upstream's own come first, in one list that parses", async (t) => {
  const lines = answered([
    ...['RateLimit-Policy', '"api";q=5;w=1', 'ratelimit', '"api";r=4;t=1'],
    ...['RATELIMIT-POLICY', '"more";q=9;w=9', 'RateLimit', '"device";r=99'],
  ])
  t.same(lines, [
    'RateLimit-Policy: "api";q=5;w=1, "more";q=9;w=9, "device";q=30;w=30',
    'RateLimit: "api";r=4;t=1, "device";r=29;t=1',
  ])
  for (const line of lines) t.ok(parseList(line.slice(line.indexOf(':') + 1)).length > 1, line)
})

t.test('what an older upstream sends gives way', async (t) => {
  t.same(
    answered(['RateLimit', 'limit=10, remaining=5, reset=3', 'RateLimit-Policy', '10;w=60', 'RateLimit-Limit', '10']),
    ['RateLimit-Limit: 10', ...OURS],
  )
})

t.test("legacy fields replace the upstream's, and leave them alone where we send none", async (t) => {
  const fields = ['x-ratelimit-limit', '9', 'X-RateLimit-Reset', '9', 'X-RateLimit-Bucket', '9']
  t.same(answered(fields, LEGACY), [...OURS, ...LEGACY_NAMES.map((name) => `${name}: 1`)])
  t.same(answered(fields), ['x-ratelimit-limit: 9', 'X-RateLimit-Reset: 9', 'X-RateLimit-Bucket: 9', ...OURS])
})

t.test('an answer that a shared cache may keep goes on untouched', async (t) => {
  for (const fields of [
    ['Cache-Control', 'public, max-age=60'],
    ['cache-control', 'max-age=60'],
    ['Cache-Control', 'no-transform', 'CACHE-CONTROL', 's-maxage=60'],
    ['Expires', 'Thu, 01 Jan 2099 00:00:00 GMT'],
    ['last-modified', 'Thu, 01 Jan 2009 00:00:00 GMT'],
    ['Cache-Control', 'max-age=60', 'RateLimit', '"api";r=4', 'X-RateLimit-Limit', '9'],
  ]) {
    for (const method of ['GET', 'HEAD']) t.same(answered(fields, LEGACY, method), lined(fields))
    t.same(answered(fields, RATE, 'POST').slice(-1), [
      OURS[1]!.replace(': ', fields.includes('RateLimit') ? ': "api";r=4, ' : ': '),
    ])
  }
})

t.test('an answer that is for one client has the fields', async (t) => {
  for (const fields of [
    [],
    ['Cache-Control', 'private, max-age=60'],
    ['Cache-Control', 'public', 'Cache-Control', 'no-store'],
    ['Cache-Control', 'no-cache', 'Last-Modified', 'x'],
  ]) {
    t.same(answered(fields).slice(-2), OURS, fields.join())
  }
  t.same(answered(['Cache-Control', 'max-age=60'], RATE, 'GET', true).slice(-2), OURS, 'for credentials')
  t.notOk(answered(['Cache-Control', 'public'], RATE, 'GET', true).includes(OURS[0]!))
})

t.test('the array that was given is left alone', async (t) => {
  const given = fieldsOf(['RateLimit', '"api";r=1', 'Cache-Control', 'public'])
  Object.freeze(given.fields)
  t.not(addRateFields(given, RATE), given.fields)
  t.same(given.fields, ['RateLimit', '"api";r=1', 'Cache-Control', 'public'])
})
