import { setTimeout as delay } from 'node:timers/promises'
import { LEASE_LIFE, mostAbove } from './bound.ts'
import type { Fault, Patient } from './faults.ts'
import { createCleanup, type Lab, startLab } from './lab.ts'
import { startLoad } from './load.ts'
import { decisionsBetween, sumOf } from './scrape.ts'

export type Promised = {
  readonly what: string
  /** Null where the machine is too busy for the answer to say something. */
  readonly holds: boolean | null
}

/** What a fault did. Times are milliseconds, admissions are tokens of the key that got most. */
export type Result = {
  readonly fault: string
  readonly requests: number
  readonly errors: Readonly<Record<string, number>>
  readonly p99: number
  readonly fallbacks: number
  /** The most that passed beyond rate * T over any window, and what the documentation allows. */
  readonly above: number
  readonly allowed: number
  /** Of what was due, the part that passed. */
  readonly share: number
  /** From the moment Redis could serve until both instances used it. */
  readonly recovered: number
  /** The longest that an instance's own event loop stood still during the fault. */
  readonly stalled: number
  readonly promises: readonly Promised[]
}

const KEYS = 20
const RATE = 20
const BURST = 40
const INSTANCES = 2
/** Milliseconds: of load before a fault and after it, and in which instances must use a Redis that serves again. */
const CALM = 1500
const RECOVERY = 5000
/** The part of the decisions that may be late, in an instance that stood still for no more than this part of the timeout. */
const LATE_SHARE = 0.001
const STALL = 0.5

/** Each client is a network and a member of it, so that the roll of members is asked too; only the network's limit is tight. */
const policyFor = (store: string, timeout: number) => `
version: 1
store: {kind: redis, ${store}, timeout: ${timeout}ms, expected_instances: ${INSTANCES}}
log: {access: "off"}
limits:
  - {name: network, per: network, rate: ${RATE}/s, burst: ${BURST}}
  - {name: device, per: device, rate: 1000/s, burst: 2000}
`

/** Injects one fault into the Redis of two proxies under load, lifts it, and says what came of it. */
export async function run(
  fault: Fault,
  options: { readonly seconds: number; readonly timeout: number },
): Promise<Result> {
  const cleanup = createCleanup()
  try {
    const patient = await fault.prepare(cleanup)
    const lab = await startLab(cleanup, policyFor(patient.store, options.timeout))
    return await harm(fault, patient, lab, options)
  } finally {
    await cleanup.close()
  }
}

async function harm(
  fault: Fault,
  patient: Patient,
  lab: Lab,
  { seconds, timeout }: Parameters<typeof run>[1],
): Promise<Result> {
  const urls = lab.proxies.map(({ url }) => url)
  const load = startLoad({
    urls,
    connections: KEYS,
    depth: 1,
    perSecond: 1000,
    nextKey: (nth) => nth,
    hasCookies: true,
  })
  const from = performance.now()
  await delay(CALM)

  const before = await lab.scrape()
  const injectedAt = performance.now()
  await patient.inject()
  const away = fault.isOutage ? await untilAway(lab, timeout, injectedAt + seconds * 1000) : null
  if (!fault.healsItself) await delay(Math.max(0, injectedAt + seconds * 1000 - performance.now()))
  const during = await lab.scrape()
  await patient.lift()
  const liftedAt = performance.now()
  const isBack = await untilUp(lab, liftedAt + RECOVERY)
  const recovered = performance.now() - liftedAt
  const awaySeconds = (performance.now() - injectedAt) / 1000
  await delay(CALM)
  await load.stop()
  const lasted = (performance.now() - from) / 1000
  const after = await lab.scrape()
  const lines = lab.proxies.map(({ output }) => output().out)
  const endless = await patient.redis().cli('eval', ENDLESS, '0')

  const decisions = decisionsBetween(before, during)
  const stalled = stallOf(during)
  const isStalled = Math.max(stalled, stallOf(after)) > STALL * timeout ? null : false
  const fallbacks = sumOf(after, 'sluice_store_fallbacks_total')
  const inProcess = Math.min(fallbacks, BURST + RATE * (fault.isOutage ? awaySeconds : lasted))
  const allowed = BURST + RATE * LEASE_LIFE + inProcess + (fault.losesData ? BURST : 0)
  const above = Math.max(...[...lab.arrivals.values()].map((times) => mostAbove(times, RATE)))
  const admitted = [...lab.arrivals.values()].reduce((sum, times) => sum + times.length, 0)
  const { 200: passed = 0, 429: refused = 0, ...errors } = load.outcomes
  const isTold = lines.every((out, i) => {
    const countOf = (text: string) => out.split(text).length - 1
    const isAway = sumOf([after[i]!], 'sluice_store_up') === 0
    return countOf('the store is away') - countOf('the store answers again') === (isAway ? 1 : 0)
  })
  const promises: Promised[] = [
    { what: 'every request is answered 200 or 429', holds: Object.keys(errors).length === 0 && passed + refused > 0 },
    { what: 'no more pass than is documented', holds: above <= allowed },
    {
      what: `no decision waits longer than the ${timeout} ms`,
      holds: decisions.above(2 * timeout) <= LATE_SHARE || isStalled,
    },
    { what: `both instances use Redis within ${RECOVERY / 1000} s`, holds: isBack || isStalled },
    { what: 'each instance logs a line for each transition', holds: isTold },
    { what: 'no key is without an end', holds: Number(endless) === 0 },
    { what: 'nobody dies', holds: lab.proxies.every(({ child }) => child.exitCode === null) },
    { what: 'no error is uncaught', holds: sumOf(after, 'sluice_uncaught_errors_total') === 0 },
  ]
  if (fault.isOutage) {
    const calls = away === null ? Number.NaN : sumOf(during, CALLS) - sumOf(away, CALLS)
    promises.push(
      { what: 'both breakers open', holds: away !== null },
      // What heals itself may have been asked since.
      { what: 'while they are open nobody asks Redis', holds: calls === 0 || (fault.healsItself ? null : false) },
    )
  }
  return {
    fault: fault.name,
    requests: Object.values(load.outcomes).reduce((sum, count) => sum + count, 0),
    errors,
    p99: decisions.p99,
    fallbacks,
    above,
    allowed,
    share: admitted / (KEYS * (BURST + RATE * lasted)),
    recovered,
    stalled,
    promises,
  }
}

/** Milliseconds since the scrape before. */
function stallOf(scrapes: readonly string[]): number {
  return Math.max(...scrapes.map((text) => 1000 * sumOf([text], 'nodejs_eventloop_lag_max_seconds')))
}

const CALLS = 'sluice_store_calls_total'
/** Counts the keys that would stay for ever. */
const ENDLESS = `
local count = 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', key) == -1 then count = count + 1 end
end
return count`

/** The scrapes of a moment when both instances go on without Redis, and what was under way has ended; null where they do not. */
async function untilAway(lab: Lab, timeout: number, deadline: number): Promise<readonly string[] | null> {
  while (performance.now() < deadline) {
    if (sumOf(await lab.scrape(), 'sluice_store_up') === 0) {
      await delay(5 * timeout)
      return lab.scrape()
    }
    await delay(25)
  }
  return null
}

async function untilUp(lab: Lab, deadline: number): Promise<boolean> {
  while (performance.now() < deadline) {
    if (sumOf(await lab.scrape(), 'sluice_store_up') === INSTANCES) return true
    await delay(25)
  }
  return false
}
