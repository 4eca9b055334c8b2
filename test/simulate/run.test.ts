import t from 'tap'
import { LIMIT } from '../../bench/simulate/proxy-under-test.ts'
import { LIMITERS } from '../../bench/simulate/tally.ts'
import { SMALL_SIZES, SMALL_TIMES, smallRun } from './small-run.ts'

const { rate: r, burst: B } = LIMIT
const T = SMALL_TIMES.attack.to - SMALL_TIMES.attack.from
const SENT = T * SMALL_TIMES.attackPerSecond

t.test('the bounds of the identity design hold against the whole proxy', async (t) => {
  const { tally } = await smallRun(['S1', 'S2', 'S3', 'S4', 'S11', 'S12'])
  const passed = (id: string) => tally.get(id).sent - tally.get(id).refused[0]!
  for (const id of ['S1', 'S2', 'S3', 'S4', 'S11', 'S12']) t.equal(tally.get(id).sent, SENT, `${id} sent all`)

  t.test('constant headers: B + rT, and all of it', async (t) => {
    t.ok(passed('S1') <= B + r * T, `${passed('S1')} of ${B + r * T}`)
    t.ok(passed('S1') >= B + r * T - 2, `${passed('S1')} of ${B + r * T}`)
  })
  t.test('any rotation of what is not proved: 2B + 5rT', async (t) => {
    for (const id of ['S2', 'S3', 'S4']) {
      t.ok(passed(id) <= 2 * B + 5 * r * T, `${id}: ${passed(id)} of ${2 * B + 5 * r * T}`)
      t.ok(passed(id) > B + r * T, `${id}: several devices of one network may pass more than one may`)
    }
  })
  t.test('a spoofed forwarding header: as constant headers, to the request', async (t) => {
    t.equal(passed('S11'), passed('S1'))
  })
  t.test('order, case, q-values and empty headers: as constant headers, to the request', async (t) => {
    t.equal(passed('S12'), passed('S1'))
  })
})

t.test('so do those over many networks, asked for more than they grant', async (t) => {
  const { tally } = await smallRun(['S6', 'S7'], 5, { ...SMALL_TIMES, attackPerSecond: 60 })
  const passed = (id: string) => tally.get(id).sent - tally.get(id).refused[0]!

  t.test('the /64s of one /48: 4(2B + 5rT), and nearly all of it', async (t) => {
    const bound = 4 * (2 * B + 5 * r * T)
    t.ok(passed('S6') <= bound && passed('S6') >= 0.95 * bound, `${passed('S6')} of ${bound}`)
  })
  t.test('one token and cookie on 200 networks: B + rT', async (t) => {
    t.ok(passed('S7') <= B + r * T && passed('S7') >= r * T, `${passed('S7')} of ${B + r * T}`)
  })
})

t.test('the same seed gives the same numbers, whoever else attacks elsewhere', async (t) => {
  const labels = ['S4', 'honest', 'members', 'cookieless', 'office', 'office members', 'first minute: carrier-1']
  const numbers = async (ids: readonly string[], seed: number) => {
    const { tally } = await smallRun(ids, seed)
    return labels.map((label) => tally.get(label))
  }
  const first = await numbers(['S4'], 5)
  t.same(await numbers(['S4'], 5), first)
  t.same(await numbers(['S1', 'S4'], 5), first)
  t.notSame(await numbers(['S4'], 6), first)
})

t.test('the honest are counted once each, under every label that is theirs', async (t) => {
  const { tally } = await smallRun(['S9'])
  const { office, homes, perHome, carriers, perCarrier } = SMALL_SIZES
  const devices = office + homes * perHome + carriers * perCarrier
  const { sent, refused } = tally.get('honest')
  t.ok(sent >= devices * 5 && sent <= devices * 7, `${sent} requests of ${devices} devices in a minute`)
  t.equal(refused.length, LIMITERS.length)
  t.ok(tally.get('cookieless').sent / sent > 0.07 && tally.get('cookieless').sent / sent < 0.13)
  t.equal(tally.get('first two minutes: office').sent, tally.get('office').sent)
  t.ok(tally.get('office').refused[0]! > 0, 'the bot inside the office is felt there')
  t.equal(tally.get('first minute: carrier-1').refused[0], 0, 'and nowhere else')
})
