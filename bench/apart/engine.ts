import { randomBytes } from 'node:crypto'
import { monotonicClock } from '../../src/clock.ts'
import type { Identity } from '../../src/identity/identity.ts'
import { createLimiter } from '../../src/limiter/limiter.ts'
import { type LimitPlan, planLimit } from '../../src/limiter/plan.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problem.ts'
import { createMemoryStore } from '../../src/stores/memory.ts'

/** What a limit list of a policy file, in YAML, comes to. */
export function plansOf(limits: string): readonly LimitPlan[] {
  const result = parsePolicy({ text: `version: 1\nlimits:\n${limits}`, file: null, env: {}, readFile: () => '' })
  if (!result.ok) throw new Error(result.problems.map((problem) => formatProblem(problem)).join('\n'))
  return result.policy.limits.map((limit) => planLimit(limit, 1))
}

/** The engine as app.ts puts it together, without a port. */
export function createEngine() {
  const store = createMemoryStore({ maxBuckets: 10_000_000, clock: monotonicClock })
  return { store, limiter: createLimiter({ local: store, shared: null }) }
}

/** Somebody never seen before: of a proved principal each limit knows one bucket; of a member also the one its network shares. */
export function newIdentity(tier: 'principal' | 'member'): Identity {
  const id = pseudonym()
  const own = { id, tag: id.slice(0, 8) }
  const networkId = pseudonym()
  const tag = networkId.slice(0, 8)
  return {
    tier,
    id,
    tag: own.tag,
    network: { id: networkId, tag, address: '203.0.113.7', parents: [], maxDevices: 512 },
    own,
    pool: tier === 'principal' ? 'none' : 'members',
    classId: '',
    isSettled: true,
    crowds: [{ members: 1, halfWeights: 2 }],
    debut: null,
    conduct: null,
  }
}

function pseudonym(): string {
  return randomBytes(16).toString('base64url')
}
