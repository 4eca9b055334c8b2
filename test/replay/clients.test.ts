import t from 'tap'
import { createClients } from '../../src/replay/clients.ts'

t.test('few clients are counted one by one', async (t) => {
  const clients = createClients()
  for (let i = 0; i < 20_000; i++) clients.add(`client-${i}`, 'class')
  for (let i = 0; i < 3; i++) clients.add('client-7', 'class')
  t.same(clients.count(), { count: 20_000, exact: true })
  t.same(clients.worst(1), [{ key: 'client-7', tier: 'class', requests: 4 }])
})

t.test('of many the number is an estimate that says so, and the heaviest are still known', async (t) => {
  const clients = createClients()
  for (let i = 0; i < 500_000; i++) {
    clients.add(`client-${i}`, 'class')
    if (i % 10 === 0) clients.add('heavy', 'member')
  }
  const { count, exact } = clients.count()
  t.equal(exact, false)
  t.ok(Math.abs(count - 500_001) < 500_001 * 0.03, String(count))
  t.same(clients.worst(1), [{ key: 'heavy', tier: 'member', requests: 50_000 }])
})
