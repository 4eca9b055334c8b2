import t from 'tap'
import { createPlaces, type Places } from '../../../src/proxy/upstream/places.ts'

const network = (name: string) => ({ holder: name, network: name })
const device = (holder: string, network: string) => ({ holder, network })

/** Takes as many places as there are for it; gives how many. */
function fill(places: Places, sharer: { readonly holder: string; readonly network: string }): number {
  let taken = 0
  for (; places.isFreeFor(sharer); taken++) places.take(sharer)
  return taken
}

t.test('one network takes three quarters at most, and the next finds its share', async (t) => {
  const places = createPlaces(256, 0.25)
  t.equal(fill(places, network('a')), 192)
  t.equal(fill(places, network('b')), 64)
  t.equal(places.used(), 256)
  t.notOk(places.isFreeFor(network('c')))
})

t.test('within the reserve a holder finds a place while it holds less than its share', async (t) => {
  const places = createPlaces(100, 0.1)
  t.equal(fill(places, network('a')), 75)
  t.equal(fill(places, network('b')), 10)
  t.equal(fill(places, network('c')), 10)
  t.equal(fill(places, network('d')), 5)
})

t.test('a known device has a share of its own, but those of one network never take all places', async (t) => {
  const places = createPlaces(100, 0.25)
  t.equal(fill(places, network('office')), 75, 'the unknown ones of an office')
  t.equal(fill(places, device('laptop', 'office')), 0)
  for (let i = 0; i < 15; i++) places.giveBack(network('office'))
  t.equal(fill(places, network('elsewhere')), 25)
  t.equal(fill(places, network('office')), 0, 'they hold more than their share')
  t.equal(fill(places, device('laptop', 'office')), 15, 'one that is known does not')
})

t.test('networks within one wide network take three quarters together', async (t) => {
  const places = createPlaces(100, 0.25)
  let taken = 0
  for (let i = 0; i < 100; i++) taken += fill(places, device(`net${i}`, 'wide'))
  t.equal(taken, 75)
  t.equal(fill(places, network('other')), 25)
})

t.test('what was given back is free', async (t) => {
  const places = createPlaces(4, 0.25)
  t.equal(fill(places, network('a')), 3)
  places.giveBack(network('a'))
  t.equal(places.used(), 2)
  t.equal(fill(places, network('a')), 1)
})

t.test('few places, none, and no share', async (t) => {
  t.equal(fill(createPlaces(0, 0.25), network('a')), 0)
  t.equal(fill(createPlaces(1, 0.25), network('a')), 1)
  t.equal(fill(createPlaces(3, 0.25), network('a')), 3, 'a quarter of so few is nothing')
  t.equal(fill(createPlaces(100, 1), network('a')), 100, '100%: no share is kept')
})

t.test('a million sharers that come once leave the counts right', async (t) => {
  const places = createPlaces(100, 0.25)
  const stays = network('stays')
  for (let i = 0; i < 25; i++) places.take(stays)
  for (let i = 0; i < 50; i++) places.take(network('others'))
  for (let i = 0; i < 1_000_000; i++) {
    places.take(network(`n${i}`))
    places.giveBack(network(`n${i}`))
  }
  t.notOk(places.isFreeFor(stays), 'it still holds its share')
  t.equal(places.used(), 75)
})
