import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseList } from 'structured-headers'
import t from 'tap'
import { QUOTA_EXCEEDED } from '../../src/http/problem.ts'
import type { Decision, LimitOutcome } from '../../src/limiter/decision.ts'
import { bindingOf } from '../../src/limiter/limiter.ts'
import { planLimit } from '../../src/limiter/plan.ts'
import type { Limit, RefusePolicy } from '../../src/policy/types.ts'
import { refusalAnswer } from '../../src/proxy/limited-answer.ts'
import { limitOf } from '../fixtures/policy.ts'

const REFUSE: RefusePolicy = { retryJitter: 0, legacyHeaders: 'off', body: null, cors: { origins: ['*'] } }
const NOW_MS = 1_700_000_000_000

function outcomeOf(limit: Partial<Limit>, changes: Partial<LimitOutcome>): LimitOutcome {
  return { plan: planLimit(limitOf(limit), 1), outcome: 'limited', remaining: 0, waitUs: 1e6, nextUs: 1e6, ...changes }
}

function limited(...outcomes: LimitOutcome[]): Extract<Decision, { verdict: 'limited' }> {
  return { verdict: 'limited', path: 'local', outcomes, binding: bindingOf(outcomes)! }
}

function answerTo(decision: Parameters<typeof refusalAnswer>[0], refuse: Partial<RefusePolicy> = {}, random = () => 0) {
  const answer = refusalAnswer(decision, { ...REFUSE, ...refuse }, random, NOW_MS)
  const fields: Record<string, string> = {}
  for (let i = 0; i < (answer.fields?.length ?? 0); i += 2) fields[answer.fields![i]!] = answer.fields![i + 1]!
  return { ...answer, fields }
}

const TWO = limited(
  outcomeOf({ name: 'device', burst: 30 }, { waitUs: 6_000_001, nextUs: 1_500_000 }),
  outcomeOf({ name: 'login', burst: 10 }, { waitUs: 2_000_000, nextUs: 2_000_000 }),
  outcomeOf({ name: 'network', burst: 50 }, { outcome: 'uncharged', remaining: 9, waitUs: 0 }),
)

t.test('a refusal by limits is a 429 that says when to come back and why', async (t) => {
  const { problem, fields, body } = answerTo(TWO)
  t.same(problem, {
    type: QUOTA_EXCEEDED,
    title: 'Too Many Requests',
    status: 429,
    detail: 'The limit "device" has no tokens left for this client; try again in 7 s.',
    'violated-policies': ['device', 'login'],
  })
  t.same(fields, {
    'Retry-After': '7',
    'RateLimit-Policy': '"device";q=30;w=30, "login";q=10;w=10, "network";q=50;w=50',
    RateLimit: '"device";r=0;t=2',
  })
  t.equal(body, null)
})

t.test('Retry-After is whole seconds, rounded up, at least one', async (t) => {
  for (const [waitUs, seconds] of [
    [1, '1'],
    [999_999, '1'],
    [1_000_000, '1'],
    [1_000_001, '2'],
    [59_999_999, '60'],
    [86_400_000_000, '86400'],
  ] as const) {
    t.equal(answerTo(limited(outcomeOf({}, { waitUs, nextUs: waitUs }))).fields['Retry-After'], seconds)
  }
})

t.test('jitter makes the wait longer, never shorter, and t never longer than it', async () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  const random = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  const wait = fc.integer({ min: 1, max: 1e12 })
  fc.assert(
    fc.property(wait, share, random, fc.integer({ min: 0, max: 1e12 }), (waitUs, retryJitter, drawn, nextUs) => {
      const { fields } = answerTo(limited(outcomeOf({}, { waitUs, nextUs })), { retryJitter }, () => drawn)
      const retryAfter = Number(fields['Retry-After'])
      assert.match(fields['Retry-After']!, /^[1-9]\d*$/)
      assert.ok(retryAfter * 1e6 >= waitUs)
      assert.ok(retryAfter <= Math.ceil((waitUs * (1 + retryJitter)) / 1e6) + 1)
      const reset = parseList(fields.RateLimit!)[0]![1].get('t') as number
      assert.ok(reset <= retryAfter)
    }),
    { seed: 90 },
  )
  const spread = answerTo(limited(outcomeOf({}, { waitUs: 10e6 })), { retryJitter: 0.5 }, () => 0.5)
  assert.equal(spread.fields['Retry-After'], '13')
})

t.test('a limit that does not show refuses without rate fields', async (t) => {
  const { problem, fields } = answerTo(limited(outcomeOf({ name: 'hidden', headers: false }, {})))
  t.same(fields, { 'Retry-After': '1' })
  t.equal(problem.status, 429)
})

t.test('a limit in shadow is not among those that were violated', async (t) => {
  const shadow = outcomeOf({ name: 'shadow', mode: 'shadow' }, { outcome: 'would_limit', waitUs: 99e6 })
  const { problem, fields } = answerTo(limited(outcomeOf({ name: 'device' }, {}), shadow))
  t.same(problem['violated-policies'], ['device'])
  t.equal(fields['Retry-After'], '1')
  t.notMatch(JSON.stringify([problem, fields]), /shadow/)
})

t.test('legacy fields come by setting', async (t) => {
  const legacy = (legacyHeaders: 'epoch' | 'delta') => answerTo(TWO, { legacyHeaders }).fields
  t.match(legacy('delta'), { 'X-RateLimit-Limit': '30', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '7' })
  t.match(legacy('epoch'), { 'X-RateLimit-Reset': String(NOW_MS / 1000 + 7) })
})

t.test('a template takes the place of the document, its values filled in wherever they stand', async (t) => {
  const text = '<p>{{limit}}: {{retry_after}} s, {{retry_after}} s. {{other}} $& {{ limit }}</p>'
  t.same(answerTo(TWO, { body: { text, type: 'text/html; charset=utf-8' } }).body, {
    type: 'text/html; charset=utf-8',
    text: '<p>device: 7 s, 7 s. {{other}} $& {{ limit }}</p>',
  })
})

t.test('without the credential that a limit wants the answer is 403', async (t) => {
  const limit = planLimit(limitOf({ name: 'keys', per: 'principal', onMissing: 'deny' }), 1)
  const body = { text: 'x', type: 'text/plain' }
  const answer = answerTo({ verdict: 'missing', limit, path: 'local', outcomes: [], binding: null }, { body })
  t.match(answer.problem, { status: 403, detail: /"keys"/, 'violated-policies': ['keys'] })
  t.same(answer.fields, {})
  t.equal(answer.body, undefined, 'the template is for those who may come back')
})

t.test('without the store that a limit insists on the answer is 503', async (t) => {
  const limit = planLimit(limitOf({ onError: 'deny' }), 1)
  const answer = answerTo({ verdict: 'unavailable', limit, path: 'fallback', outcomes: [], binding: null })
  t.match(answer.problem, { status: 503 })
  t.same(answer.fields, { 'Retry-After': '1' })
})
