import t from 'tap'
import { createHeaderSets } from '../../bench/simulate/header-sets.ts'
import { createPopulation, type Device } from '../../bench/simulate/population.ts'
import { createRandom } from '../../bench/simulate/random.ts'
import { pageLoads } from '../../bench/simulate/schedule.ts'
import { languageTags } from '../../src/identity/header-class.ts'

const populationOf = (seed: number) =>
  createPopulation(createRandom(seed, 'population'), createHeaderSets(createRandom(seed, 'header sets')))

const { networks, devices } = populationOf(5)
const of = (name: string) => devices.filter(({ network }) => network.name === name)

/** User-Agent and language tags: what names a class. */
function classOf({ document }: Device): string {
  return `${document.userAgent}\n${languageTags(/^accept-language: (.*)\r$/im.exec(document.text)?.[1])}`
}

t.test('2,000 devices: an office of 500, three carriers of 300, 300 homes of 2, a tenth without cookies', async (t) => {
  t.equal(devices.length, 2000)
  t.equal(networks.length, 304)
  t.equal(new Set(networks.map(({ address }) => address)).size, 304)
  t.equal(of('office').length, 500)
  for (const name of ['carrier-1', 'carrier-2', 'carrier-3']) t.equal(of(name).length, 300)
  for (const name of ['home-1', 'home-300']) t.equal(of(name).length, 2)
  t.equal(devices.filter(({ jar }) => jar === null).length, 200)
})

t.test('a managed office shows a dozen classes, a carrier far more', async (t) => {
  const office = new Set(of('office').map(classOf)).size
  const carrier = new Set(of('carrier-1').map(classOf)).size
  t.ok(office >= 8 && office <= 16, `${office} classes in the office`)
  t.ok(carrier > 64, `${carrier} classes behind a carrier's address`)
})

t.test('the same seed draws the same devices, another one others', async (t) => {
  const drawn = (all: readonly Device[]) => all.map(({ document, phase }) => `${phase}\n${document.text}`).join('\n')
  t.ok(drawn(populationOf(5).devices) === drawn(devices))
  t.notOk(drawn(populationOf(6).devices) === drawn(devices))
})

t.test('a device loads six requests once a minute, within two seconds or so', async (t) => {
  const [device] = of('office')
  const turns = pageLoads({ networks, devices: [device!] }, { from: 0, to: 600 }, createRandom(5, 'pages'))
  t.equal(turns.length, 60)
  for (let page = 0; page < 60; page += 6) {
    const seconds = turns.slice(page, page + 6).map(({ at }) => at)
    t.ok(seconds[5]! - seconds[0]! < 2.2)
    t.same(
      seconds,
      seconds.toSorted((a, b) => a - b),
    )
    t.ok(Math.abs(seconds[0]! - device!.phase - page * 10) <= 2)
  }
})
