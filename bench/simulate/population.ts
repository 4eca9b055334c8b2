import { asFetch, type HeaderSet, type HeaderSets } from './header-sets.ts'
import { createJar, type Jar } from './jar.ts'
import { type Head, headOf } from './message.ts'
import type { Random } from './random.ts'

export type Network = { readonly name: string; readonly address: string; readonly devices: number }

export type Device = {
  readonly network: Network
  /** Null for the tenth that keeps neither cookie nor token. */
  readonly jar: Jar | null
  /** How it asks for a document, and how for data. */
  readonly document: Head
  readonly fetch: Head
  /** How it asks for one of the five data of a page: some leave their languages out there. */
  readonly last: Head
  /** Seconds into the minute at which it loads its page. */
  readonly phase: number
}

export type Population = { readonly networks: readonly Network[]; readonly devices: readonly Device[] }

export type Sizes = {
  readonly office: number
  readonly homes: number
  readonly perHome: number
  readonly carriers: number
  readonly perCarrier: number
}

export const SIZES: Sizes = { office: 500, homes: 300, perHome: 2, carriers: 3, perCarrier: 300 }

export const OFFICE = 'office'
export const CARRIER = 'carrier-1'

const COOKIELESS = 0.1
/** The share of devices whose User-Agent and languages are not the same in all requests: 7 of 100 in recorded traffic. */
const UNSTEADY = 0.07

/** The honest: an office behind one address, homes, carriers' NATs. Jars are new and empty. */
export function createPopulation(random: Random, sets: HeaderSets, sizes: Sizes = SIZES): Population {
  const networks = networksOf(sizes)
  const devices: Device[] = []
  for (const network of networks) {
    for (let i = 0; i < network.devices; i++) devices.push(deviceOf(network, drawSet(network)))
  }
  // Exactly a tenth, spread over all networks, so that no seed is kinder than another.
  const order = shuffled(devices.length, random)
  for (const i of order.slice(Math.round(COOKIELESS * devices.length)))
    devices[i] = { ...devices[i]!, jar: createJar() }
  return { networks, devices }

  function drawSet({ name }: Network): HeaderSet {
    if (name === OFFICE) return sets.managed()
    return name.startsWith('carrier') ? sets.phone() : sets.home()
  }

  function deviceOf(network: Network, set: HeaderSet): Device {
    const fetch = asFetch(set)
    const isUnsteady = random.next() < UNSTEADY
    const last = isUnsteady ? fetch.filter(([name]) => name.toLowerCase() !== 'accept-language') : fetch
    return {
      network,
      jar: null,
      document: headOf(set),
      fetch: headOf(fetch),
      last: headOf(last),
      phase: random.next() * 60,
    }
  }
}

function networksOf({ office, homes, perHome, carriers, perCarrier }: Sizes): Network[] {
  const networks: Network[] = [{ name: OFFICE, address: '203.0.113.10', devices: office }]
  for (let i = 0; i < carriers; i++) {
    networks.push({ name: `carrier-${i + 1}`, address: `198.51.100.${i + 1}`, devices: perCarrier })
  }
  for (let i = 0; i < homes; i++) {
    networks.push({ name: `home-${i + 1}`, address: `198.18.${i >> 8}.${i & 255}`, devices: perHome })
  }
  return networks.filter(({ devices }) => devices > 0)
}

function shuffled(length: number, random: Random): number[] {
  const order = Array.from({ length }, (_, i) => i)
  for (let i = length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const kept = order[i]!
    order[i] = order[j]!
    order[j] = kept
  }
  return order
}
