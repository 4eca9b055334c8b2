import t from 'tap'
import { createMemoryUsers, type User } from '../../src/demo/users.ts'

t.test('of many that race for one email exactly one is added', async (t) => {
  const users = createMemoryUsers({ maxUsers: 100 })
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, n) => users.add(user(String(n), 'ann@example.com'))),
  )
  t.equal(outcomes.filter((outcome) => outcome === 'added').length, 1)
  t.equal(outcomes.filter((outcome) => outcome === 'taken').length, 49)
  t.equal((await users.page({ page: 1, perPage: 5 })).total, 1)
})

t.test('beyond the bound there is no room, and what is taken is still told', async (t) => {
  const users = createMemoryUsers({ maxUsers: 2 })
  t.equal(await users.add(user('1', 'a@example.com')), 'added')
  t.equal(await users.add(user('2', 'b@example.com')), 'added')
  t.equal(await users.add(user('3', 'c@example.com')), 'full')
  t.equal(await users.add(user('4', 'a@example.com')), 'taken')
  t.equal(await users.get('3'), undefined)
  t.same(
    (await users.page({ page: 1, perPage: 5 })).entries.map(({ id }) => id),
    ['2', '1'],
  )
})

function user(id: string, email: string): User {
  return { id, email, name: null, created_at: '2026-01-01T00:00:00.000Z' }
}
