import type { Identity } from '../../src/identity/identity.ts'
import { createEngine, newIdentity, plansOf } from './engine.ts'

/** Decisions for each CPU second, without HTTP, under two limits; a process of its own prints them. */

const TURN_MS = 200
const WARM_UP_TURNS = 3
const TURNS = 5
const HOT = 1000
const DISTINCT = 1_000_000

const plans = plansOf(`
  - {name: second, per: device, rate: 1/s, burst: 1000000}
  - {name: minute, per: device, rate: 60/min, burst: 1000000}
`)

function rate(identities: readonly Identity[]): number {
  const { limiter } = createEngine()
  // Each has its buckets before time is taken.
  for (const identity of identities) limiter.decide(identity, plans, 'enforce')
  const rates: number[] = []
  let at = 0
  for (let turn = -WARM_UP_TURNS; turn < TURNS; turn++) {
    const before = process.cpuUsage()
    const end = performance.now() + TURN_MS
    let decided = 0
    while (performance.now() < end) {
      for (let i = 0; i < 1000; i++) {
        const decision = limiter.decide(identities[at]!, plans, 'enforce')
        if (decision instanceof Promise || decision.verdict !== 'allowed')
          throw new Error('a decision is not what it is taken for')
        at = at + 1 === identities.length ? 0 : at + 1
      }
      decided += 1000
    }
    const { user, system } = process.cpuUsage(before)
    if (turn >= 0) rates.push(decided / ((user + system) / 1e6))
  }
  return rates.sort((a, b) => a - b)[rates.length >> 1]!
}

const make = (count: number, tier: 'principal' | 'member') => Array.from({ length: count }, () => newIdentity(tier))

process.stdout.write(
  JSON.stringify({
    hot: rate(make(HOT, 'principal')),
    hotMembers: rate(make(HOT, 'member')),
    distinct: rate(make(DISTINCT, 'principal')),
  }),
)
