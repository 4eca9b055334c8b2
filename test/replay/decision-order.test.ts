import t from 'tap'
import { createDecisionOrder } from '../../src/replay/decision-order.ts'
import type { OwnRequest } from '../../src/replay/line.ts'

/** The line of a decision, `ms` after its process began at `startMs`. */
function lineOf(decision: number, startMs = 0): OwnRequest {
  const clockUs = decision * 1000
  const evidence = { decision, clock_us: clockUs, limits: [], network: '', class: '' }
  const nothing = { deniedBy: null, host: null, path: null, policy: null }
  const request = { kind: 'own', format: 'sluice', requestId: '', outcome: 'forwarded', method: 'GET' } as const
  return { ...request, ...nothing, timeUs: startMs * 1000 + clockUs, evidence }
}

function open() {
  const seen: (number | 'restart')[] = []
  const order = createDecisionOrder(
    ({ evidence }) => seen.push(evidence!.decision),
    () => seen.push('restart'),
  )
  return { order, seen }
}

t.test('lines come in the order of the decisions, each as soon as its turn has come', async (t) => {
  const { order, seen } = open()
  for (const decision of [2, 3, 1]) order.push(lineOf(decision))
  t.same(seen, [1, 2, 3])
  for (const decision of [6, 9, 4, 8]) order.push(lineOf(decision))
  t.same(seen, [1, 2, 3, 4])
  order.flush()
  t.same(seen, [1, 2, 3, 4, 6, 8, 9])
  t.equal(order.missing(), 2)
})

t.test('what is held is bounded: a line that is missing is not waited for, and comes late', async (t) => {
  const { order, seen } = open()
  for (let decision = 2; decision <= 40_000; decision++) order.push(lineOf(decision))
  t.equal(seen[0], 2)
  t.equal(seen.length, 39_999)
  t.equal(order.missing(), 1)
  order.push(lineOf(1))
  t.equal(seen.at(-1), 1)
  t.same([order.missing(), order.late()], [0, 1])
})

t.test('numbers that begin anew are another process’s', async (t) => {
  const { order, seen } = open()
  for (const decision of [1, 2, 3]) order.push(lineOf(decision))
  for (const decision of [1, 2]) order.push(lineOf(decision, 3_600_000))
  t.same(seen, [1, 2, 3, 'restart', 1, 2])
  t.equal(order.late(), 0)
})
