import { HeaderGenerator } from 'header-generator'
import UserAgent, { type Filter } from 'user-agents'
import type { Field } from './message.ts'
import { drawWith, type Random } from './random.ts'

/** The header fields with which one browser asks for a document. */
export type HeaderSet = readonly Field[]

const generator = new HeaderGenerator({ httpVersion: '1' })
const agents = byWeight()
const phones = byWeight({ deviceCategory: 'mobile' } as Filter)

/** Of an API whose users are mostly of one country. */
const LOCALES = ['de-DE', 'en-US', 'en-GB', 'fr-FR', 'es-ES', 'it-IT', 'nl-NL', 'pl-PL', 'pt-BR', 'tr-TR']

const AT_HOME = 0.8
const MONOLINGUAL = 0.8

export type HeaderSets = {
  /** A desktop of a managed fleet, one language: current versions of few browsers. */
  managed(): HeaderSet
  /** A desktop or a phone at home: current versions, languages of any user. */
  home(): HeaderSet
  /** A phone, among far more versions than a desktop has. */
  phone(): HeaderSet
  /** A User-Agent seen in the wild, by its share. */
  userAgent(): string
  /** An Accept-Language field of one or two languages. */
  languages(): string
}

/**
 * Real header sets: whole ones by header-generator (a Bayesian network over recorded traffic), and the wider range of
 * User-Agents of user-agents. What is drawn depends on the stream alone.
 */
export function createHeaderSets(random: Random): HeaderSets {
  function generate(devices: ('desktop' | 'mobile')[], locales: string[]): HeaderSet {
    const headers = drawWith(random, () => generator.getHeaders({ devices, locales }))
    return Object.entries(headers)
  }

  function languages(): string {
    const first = random.next() < AT_HOME ? LOCALES[0]! : random.pick(LOCALES)
    const own = `${first},${first.slice(0, 2)};q=0.9`
    const second = random.pick(LOCALES)
    return random.next() < MONOLINGUAL || first === second ? own : `${own},${second};q=0.8`
  }

  return {
    managed: () => generate(['desktop'], ['de-DE', 'de']),
    home() {
      const device = random.next() < 0.5 ? 'desktop' : 'mobile'
      return withField(generate([device], ['en-US']), 'Accept-Language', languages())
    },
    phone() {
      const agent = phones(random)
      const apple = /iPhone|iPad/.test(agent)
      return [
        ['User-Agent', agent],
        [
          'Accept',
          `text/html,application/xhtml+xml,application/xml;q=0.9,${apple ? '' : 'image/avif,image/webp,'}*/*;q=0.8`,
        ],
        ['Accept-Encoding', 'gzip, deflate, br'],
        ['Accept-Language', languages()],
      ]
    },
    userAgent: () => agents(random),
    languages,
  }
}

/** Draws User-Agents by their shares. The package's own draw copies a whole record each time, and attackers draw 40,000. */
function byWeight(filter?: Filter): (random: Random) => string {
  const agents = UserAgent.top(undefined, filter)
  const sums: number[] = []
  let sum = 0
  for (const { weight } of agents) {
    sum += weight
    sums.push(sum)
  }
  return (random) => {
    const drawn = random.next() * sum
    let low = 0
    let high = sums.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! > drawn) high = middle
      else low = middle + 1
    }
    return agents[low]!.userAgent
  }
}

/** The set with one field's value replaced, or the field at its end. */
export function withField(set: HeaderSet, name: string, value: string): HeaderSet {
  const isIt = ([found]: Field) => found.toLowerCase() === name.toLowerCase()
  if (!set.some(isIt)) return [...set, [name, value]]
  return set.map((field) => (isIt(field) ? [field[0], value] : field))
}

/** The same browser asking for data instead of a document: what changes within a device on every page. */
export function asFetch(set: HeaderSet): HeaderSet {
  const changed: Record<string, string> = {
    accept: '*/*',
    'sec-fetch-mode': 'cors',
    'sec-fetch-dest': 'empty',
    'sec-fetch-site': 'same-origin',
  }
  return set
    .filter(([name]) => !/^(sec-fetch-user|upgrade-insecure-requests)$/i.test(name))
    .map(([name, value]) => [name, changed[name.toLowerCase()] ?? value])
}
