import { HeaderGenerator } from 'header-generator'
import UserAgent from 'user-agents'
import type { Field } from './message.ts'
import { drawWith, type Random } from './random.ts'

/** The header fields with which one browser asks for a document. */
export type HeaderSet = readonly Field[]

const LOCALES = ['en-US', 'en-GB', 'de-DE', 'fr-FR', 'es-ES', 'it-IT', 'nl-NL', 'pl-PL', 'pt-BR', 'tr-TR']

export type HeaderSets = {
  /** A desktop of a managed fleet, one language: current versions of few browsers. */
  managed(): HeaderSet
  /** A desktop or a phone at home, in one of many languages, half of them with a second one. */
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
  const generator = new HeaderGenerator({ httpVersion: '1' })
  const agents = drawWith(random, () => new UserAgent())
  const phones = drawWith(random, () => new UserAgent({ deviceCategory: 'mobile' } as never))

  function generate(devices: ('desktop' | 'mobile')[], locales: string[]): HeaderSet {
    const headers = drawWith(random, () => generator.getHeaders({ devices, locales }))
    return Object.entries(headers)
  }

  function languages(): string {
    const first = random.pick(LOCALES)
    const second = random.pick(LOCALES)
    const own = `${first},${first.slice(0, 2)};q=0.9`
    return random.next() < 0.5 || first === second ? own : `${own},${second};q=0.8`
  }

  return {
    managed: () => generate(['desktop'], ['de-DE', 'de']),
    home() {
      const device = random.next() < 0.5 ? 'desktop' : 'mobile'
      return withField(generate([device], ['en-US']), 'Accept-Language', languages())
    },
    phone() {
      const agent = drawWith(random, () => phones.random().toString())
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
    userAgent: () => drawWith(random, () => agents.random().toString()),
    languages,
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
