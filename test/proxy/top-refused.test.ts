import t from 'tap'
import type { Identity } from '../../src/identity/identity.ts'
import { createTopRefused, MAX_NETWORKS } from '../../src/proxy/top-refused.ts'

function who(id: string, network = 'n'): Identity {
  return {
    ...{
      tier: 'class',
      id,
      tag: 't',
      own: null,
      pool: 'newcomers',
      classId: id,
      isSettled: true,
      crowds: [],
      debut: null,
    },
    ...{ conduct: null, network: { id: network, tag: 't', address: '', parents: [], maxDevices: 1 } },
  }
}

t.test('the most refused comes first, with the networks that it came from', async (t) => {
  const top = createTopRefused(0)
  for (let n = 0; n < 3; n++) top.note(who('b', `n${n}`), 0)
  top.note(who('a'), 0)
  t.match(top.list(0), {
    sinceMs: 0,
    refused: [
      { key: 'b', count: 3, networks: 3, error: 0, tier: 'class' },
      { key: 'a', count: 1, networks: 1 },
    ],
  })
  for (let n = 0; n < 1000; n++) top.note(who('b', `m${n}`), 0)
  t.equal(top.find('b')!.networks, MAX_NETWORKS)
})

t.test('a flood of keys takes no more room, and hides nobody who is refused more often than its share', async (t) => {
  const top = createTopRefused(0)
  for (let n = 0; n < 50_000; n++) {
    top.note(who(`flood-${n}`), 0)
    if (n % 100 === 0) top.note(who('often'), 0)
  }
  const { refused } = top.list(0)
  t.equal(refused.length, 256)
  const often = refused.find(({ key }) => key === 'often')!
  t.ok(often.count >= 500 && often.count - often.error <= 500, `${often.count} less ${often.error} at most`)
})

t.test('counts of more than twenty minutes ago are gone, those of the last ten are all there', async (t) => {
  const top = createTopRefused(0)
  top.note(who('a'), 0)
  top.note(who('a'), 599_999)
  top.note(who('a'), 600_000)
  t.match(top.list(600_001), { sinceMs: 0, refused: [{ count: 3 }] })
  t.match(top.list(1_200_000), { sinceMs: 600_000, refused: [{ count: 1 }] })
  t.same(top.list(9_000_000).refused, [])
})
