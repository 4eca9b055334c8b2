import type { HeaderSet, HeaderSets } from './header-sets.ts'
import { createJar, type Jar } from './jar.ts'
import { type Field, headOf, type Message } from './message.ts'
import { CARRIER, OFFICE } from './population.ts'
import type { Random } from './random.ts'

/** One attacker under way. What the proxy sees of it are the messages. */
export type Attack = {
  /** The `n`-th request of the attack. */
  message(n: number): Message
  /** The `n`-th request with which it prepares, long before; undefined where it does not. */
  prepare?(n: number): Message
}

export type Strategy = {
  readonly id: string
  readonly title: string
  /** The honest network within which it sits; null for an address, or addresses, of its own. */
  readonly inside: string | null
  start(world: World): Attack
}

export type World = {
  readonly random: Random
  readonly sets: HeaderSets
  /** The address of the honest network inside which the strategy sits, else the attacker's own. */
  readonly address: string
}

/** How many cookies the hoarder asks for, and how many jars the farm keeps. */
export const STOCKPILE = 2000
const JARS = 600

/** The attackers of the identity design, S1 to S14. */
export const STRATEGIES: readonly Strategy[] = [
  {
    id: 'S1',
    title: 'constant headers',
    inside: null,
    start({ sets, address }) {
      const head = headOf(bare(sets.userAgent()))
      return { message: () => ({ head, address, route: 'ingress', jar: null }) }
    },
  },
  {
    id: 'S2',
    title: 'rotating User-Agent',
    inside: null,
    start: ({ sets, address }) => from(address, () => bare(sets.userAgent())),
  },
  {
    id: 'S3',
    title: 'random bearer token',
    inside: null,
    start({ random, sets, address }) {
      const set = bare(sets.userAgent())
      return from(address, () => [...set, ['Authorization', `Bearer ${random.text(40)}`]])
    },
  },
  { id: 'S4', title: 'everything random', inside: null, start: (world) => from(world.address, () => anything(world)) },
  { id: 'S5', title: '600 cookie jars', inside: null, start: farm },
  {
    id: 'S6',
    title: 'everything random, from random /64s of one /48',
    inside: null,
    start(world) {
      const group = () => world.random.below(65536).toString(16)
      const address = () => `2001:db8:bad:${group()}::${world.random.below(65535).toString(16)}`
      return { message: () => ({ head: headOf(anything(world)), address: address(), route: 'ingress', jar: null }) }
    },
  },
  { id: 'S7', title: 'one token and cookie on 200 addresses', inside: null, start: nomad },
  {
    id: 'S8',
    title: '2,000 residential proxies, rotating User-Agent',
    inside: null,
    start({ random, sets }) {
      const address = () => `198.19.${random.below(200)}.${random.below(10)}`
      return {
        message: () => ({ head: headOf(bare(sets.userAgent())), address: address(), route: 'ingress', jar: null }),
      }
    },
  },
  {
    id: 'S9',
    title: 'everything random, inside the office',
    inside: OFFICE,
    start: (world) => from(world.address, () => anything(world)),
  },
  { id: 'S10', title: '600 cookie jars, inside the office', inside: OFFICE, start: farm },
  {
    id: 'S11',
    title: 'spoofed X-Forwarded-For from an untrusted peer',
    inside: null,
    start({ random, sets }) {
      const set = bare(sets.userAgent())
      const forged = () => `198.19.${random.below(256)}.${random.below(256)}, 203.0.113.${random.below(256)}`
      return {
        message: () => ({
          head: headOf([...set, ['X-Forwarded-For', forged()]]),
          // Where it truly comes from: the loopback address that the untrusted peer has.
          address: '127.0.0.9',
          route: 'direct',
          jar: null,
        }),
      }
    },
  },
  {
    id: 'S12',
    title: 'order, case, q-values and empty headers',
    inside: null,
    start({ random, sets, address }) {
      const userAgent = sets.userAgent()
      return from(address, () => disguised(userAgent, random))
    },
  },
  { id: 'S13', title: `${STOCKPILE} stockpiled cookies`, inside: null, start: hoarder },
  {
    id: 'S14',
    title: 'filling class slots, inside a carrier',
    inside: CARRIER,
    start({ random, address }) {
      // Each comes twice within seconds: a class takes a slot at its second sight.
      const names = () => Array.from({ length: 200 }, () => random.text(12))
      let round = names()
      return from(address, (n) => {
        if (n % 400 === 0) round = names()
        return bare(`Mozilla/5.0 (${round[n % 200]})`)
      })
    },
  },
]

function from(address: string, fields: (n: number) => HeaderSet): Attack {
  return { message: (n) => ({ head: headOf(fields(n)), address, route: 'ingress', jar: null }) }
}

function bare(userAgent: string): HeaderSet {
  return [
    ['User-Agent', userAgent],
    ['Accept', '*/*'],
    ['Accept-Language', 'en-US,en;q=0.9'],
    ['Accept-Encoding', 'gzip'],
  ]
}

/** New languages, User-Agent, token, key, cookies (forged ones of our form among them) and device token. */
function anything({ random, sets }: World): HeaderSet {
  return [
    ['User-Agent', `${sets.userAgent()} ${random.text(8)}`],
    ['Accept', random.pick(['*/*', 'application/json', 'text/html'])],
    ['Accept-Language', `${sets.languages()},x-${random.text(6).replace(/[-_]/g, 'a')}`],
    ['Accept-Encoding', random.pick(['gzip', 'gzip, br', 'identity'])],
    ['Authorization', `Bearer ${random.text(40)}`],
    ['X-Api-Key', random.text(32)],
    ['Cookie', `session=${random.text(20)}; __Host-sluice-${random.text(6)}=${random.text(60)}`],
    ['Device-Token', random.text(60)],
  ]
}

/** Faithful jars, each a browser of its own, in turn. */
function farm({ sets, address }: World): Attack {
  const heads = Array.from({ length: JARS }, () => headOf(sets.home()))
  const jars = Array.from({ length: JARS }, createJar)
  return { message: (n) => ({ head: heads[n % JARS]!, address, route: 'ingress', jar: jars[n % JARS]! }) }
}

/** Asks for a cookie once, and from then on carries it and one token over 200 addresses. */
function nomad({ random, sets }: World): Attack {
  const jar = createJar()
  const fields: HeaderSet = [...bare(sets.userAgent()), ['Authorization', `Bearer ${random.text(40)}`]]
  const first = headOf(fields)
  let held: ReturnType<typeof headOf> | null = null
  return {
    message(n) {
      const address = `192.0.2.${1 + (n % 200)}`
      if (jar.field() === '') return { head: first, address, route: 'ingress', jar: n < 20 ? jar : null }
      held ??= headOf([...fields, ['Cookie', jar.field()]])
      return { head: held, address, route: 'ingress', jar: null }
    },
  }
}

/** Asks for cookies it does not use, and uses them all at once, in turn, when they have aged. */
function hoarder({ random, sets, address }: World): Attack {
  const jars: Jar[] = []
  const set = bare(sets.userAgent())
  return {
    prepare() {
      const jar = createJar()
      jars.push(jar)
      const fields: Field[] = [...set, ['X-Nonce', random.text(8)]]
      return { head: headOf(fields), address, route: 'ingress', jar }
    },
    message: (n) => ({ head: headOf(set), address, route: 'ingress', jar: jars[n % jars.length]! }),
  }
}

/** The same User-Agent and languages, written in ever new ways, with empty fields that claim nothing. */
function disguised(userAgent: string, random: Random): HeaderSet {
  const isHeads = () => random.next() < 0.5
  const cased = (text: string) => [...text].map((c) => (isHeads() ? c.toUpperCase() : c.toLowerCase())).join('')
  const q = () => (isHeads() ? '' : `;q=0.${1 + random.below(9)}`)
  const tags = ['en-US', 'en', 'de'].sort(() => random.next() - 0.5)
  const fields: Field[] = [
    [cased('User-Agent'), userAgent],
    [cased('Accept-Language'), tags.map((tag) => `${cased(tag)}${q()}`).join(isHeads() ? ',' : ' , ')],
    [cased('Accept'), random.pick(['*/*', 'text/html', 'application/json;q=0.5'])],
    [cased('Accept-Encoding'), random.pick(['gzip', 'br;q=0.9, gzip', 'identity'])],
  ]
  for (const name of ['Authorization', 'Cookie', 'X-Api-Key', 'Device-Token', 'Referer', 'DNT']) {
    if (isHeads()) fields.push([cased(name), ''])
  }
  return fields.sort(() => random.next() - 0.5)
}
