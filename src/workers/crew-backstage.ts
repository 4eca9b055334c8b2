import { type Backstage, SHOWN_REFUSALS } from '../admin/backstage.ts'
import type { Orders } from '../proxy/orders.ts'
import type { Refused } from '../proxy/top-refused.ts'
import type { Crew } from './crew.ts'

/** Milliseconds that a person waits for a worker at most. */
const PATIENCE = 1000
const SILENT = 'no worker answered in time'

/**
 * What the admin port needs of the proxies, asked of all workers. The primary's `orders` are the ones that count: a worker
 * that takes another's place begins with them.
 */
export function createCrewBackstage(askAll: Crew['askAll'], orders: Orders): Backstage {
  return {
    async explain(question) {
      // Buckets and members lie with the primary, which each of them asks.
      const [one] = await askAll('explain', PATIENCE, question)
      if (one === undefined) throw new Error(SILENT)
      return one.answer
    },
    async refusal(requestId) {
      const answers = await askAll('refusal', PATIENCE, requestId)
      return answers.find(({ answer }) => answer !== null)?.answer ?? null
    },
    async refusals() {
      const told = (await askAll('refusals', PATIENCE)).flatMap(({ answer }) => answer)
      return told.sort((a, b) => b.at_ms - a.at_ms).slice(0, SHOWN_REFUSALS)
    },
    async topRefused() {
      const told = (await askAll('topRefused', PATIENCE)).map(({ answer }) => answer)
      const refused = sumByKey(told.flatMap((one) => one.refused))
      return { sinceMs: Math.min(Date.now(), ...told.map(({ sinceMs }) => sinceMs)), refused }
    },
    async keysOf(shown) {
      // They share their secrets: what one says all would.
      const [one] = await askAll('keysOf', PATIENCE, shown)
      if (one === undefined) throw new Error(SILENT)
      return one.answer
    },
    async keyState(named) {
      const states = (await askAll('keyState', PATIENCE, named)).map(({ answer }) => answer)
      const refused = sumByKey(states.flatMap((state) => state.refused ?? []))[0] ?? null
      // The one that knows whose key it is knows which buckets it has.
      const state = states.find(({ kind }) => kind !== null) ?? states[0]
      if (state === undefined) throw new Error(SILENT)
      return { ...state, refused }
    },
    async reset(named) {
      const answers = await askAll('reset', PATIENCE, named)
      return answers.length > 0 && answers.every(({ answer }) => answer)
    },
    orders: async () => orders.list(Date.now()),
    async place(order) {
      if (!orders.place(order, Date.now())) return false
      await askAll('place', PATIENCE, order)
      return true
    },
    async lift(key) {
      const lifted = orders.lift(key, Date.now())
      await askAll('lift', PATIENCE, key)
      return lifted
    },
  }
}

/** What several saw of the same keys; of networks that they saw both no more can be said than that they were as many as one saw. */
function sumByKey(refused: readonly Refused[]): readonly Refused[] {
  const sums = new Map<string, Refused>()
  for (const one of refused) {
    const sum = sums.get(one.key)
    const count = one.count + (sum?.count ?? 0)
    const error = one.error + (sum?.error ?? 0)
    sums.set(one.key, { ...one, count, error, networks: Math.max(one.networks, sum?.networks ?? 0) })
  }
  return [...sums.values()].sort((a, b) => b.count - a.count)
}
