import t from 'tap'
import { createOrders, type Order } from '../../src/proxy/orders.ts'
import { networkOf, shows } from '../fixtures/evidence.ts'

function ban(key: string, untilMs = 1000): Order {
  return { kind: 'ban', key, untilMs, reason: 'r' }
}

const token = { id: 'token', tag: 't' }
const device = { id: 'device' }
const principal = { id: 'principal', tag: 'p', source: 'jwt', enrolment: 'controlled' } as const

t.test('an order holds for whoever is counted under its key, and not for who of a class is proved', async (t) => {
  for (const [key, shown, holds] of [
    ['class', {}, true],
    ['class', { token }, true],
    ['class', { device }, false],
    ['class', { principal }, false],
    ['token', { token }, true],
    ['token', { token, device }, false],
    ['device', { device }, true],
    ['principal', { principal, device }, true],
    ['office', {}, true],
    ['office', { principal }, true],
    ['parent', { network: networkOf('home', { parents: [{ id: 'parent', factor: 4 }] }) }, true],
    ['another', { token }, false],
  ] as const) {
    const orders = createOrders()
    orders.place(ban(key), 0)
    t.equal(orders.find(shows(shown), 0) !== null, holds, `${key} ${JSON.stringify(shown)}`)
  }
})

t.test('it ends by the clock, and what has ended is not listed', async (t) => {
  const orders = createOrders()
  orders.place(ban('class', 1000), 0)
  orders.place(ban('office', 2000), 0)
  t.match(orders.list(0), [{ key: 'class' }, { key: 'office' }])
  t.match(orders.find(shows(), 1000), { key: 'office' })
  t.equal(orders.lift('class', 1000), null)
  t.equal(orders.find(shows(), 2000), null)
  t.equal(orders.size(), 0)
})

t.test('they are bounded in number, and those that have ended make room', async (t) => {
  const orders = createOrders()
  for (let n = 0; n < 10_000; n++) orders.place(ban(`k${n}`, n === 7 ? 500 : 1000), 0)
  t.equal(orders.place(ban('more'), 0), false)
  t.equal(orders.place(ban('k1', 3000), 0), true, 'one that is there can be changed')
  t.equal(orders.place(ban('more'), 500), true)
  t.equal(orders.size(), 10_000)
})
