import { setTimeout as delay } from 'node:timers/promises'
import { createJar } from '../simulate/jar.ts'
import { type Link, openLink } from '../simulate/link.ts'
import { headOf, type Message } from '../simulate/message.ts'
import { KEY_FIELD } from './lab.ts'

export type Load = {
  /** The requests answered, by status, and those that were not, by what came instead. */
  readonly outcomes: Readonly<Record<string, number>>
  stop(): Promise<void>
}

export type LoadOptions = {
  readonly urls: readonly string[]
  /** Connections to each instance. */
  readonly connections: number
  /** Requests that share a write. */
  readonly depth: number
  /** The requests to send each second, all connections together; as many as are answered where left out. */
  readonly perSecond?: number
  /** Whose the next request of a connection is. */
  readonly nextKey: (connection: number) => number
  readonly hasCookies: boolean
}

/** A client with an address of its own, and with cookies where it keeps them. */
function clientOf(key: number, hasCookies: boolean): Message {
  return {
    head: headOf([
      ['User-Agent', 'load'],
      [KEY_FIELD, String(key)],
    ]),
    address: `10.${(key >> 16) & 255}.${(key >> 8) & 255}.${key & 255}`,
    route: 'ingress',
    jar: hasCookies ? createJar() : null,
  }
}

/** Asks all instances over and over, as clients that an ingress tells apart. A connection that ends is counted and opened again. */
export function startLoad({ urls, connections, depth, perSecond, nextKey, hasCookies }: LoadOptions): Load {
  const outcomes: Record<string, number> = {}
  const clients = new Map<number, Message>()
  const count = (what: string | number) => {
    outcomes[what] = (outcomes[what] ?? 0) + 1
  }
  let isStopped = false
  const period = perSecond === undefined ? 0 : (1000 * depth * connections * urls.length) / perSecond

  function messageOf(key: number): Message {
    let client = clients.get(key)
    if (client === undefined) {
      client = clientOf(key, hasCookies)
      // A crowd is not kept: it has no cookies to lose.
      if (hasCookies || clients.size < 10_000) clients.set(key, client)
    }
    return client
  }

  async function ask(url: string, nth: number): Promise<void> {
    const port = Number(new URL(url).port)
    let link: Link | null = null
    let due = performance.now() + period * Math.random()
    while (!isStopped) {
      const wait = due - performance.now()
      if (period > 0 && wait > 1) await delay(wait)
      // What could not be sent in time is not sent twice as fast afterwards for long.
      due = Math.max(due + period, performance.now() - 250)
      try {
        link ??= await openLink(port, '127.0.0.1')
        for (const status of await link.exchange(Array.from({ length: depth }, () => messageOf(nextKey(nth)))))
          count(status)
      } catch (cause) {
        count((cause as NodeJS.ErrnoException).code ?? (cause as Error).message)
        link?.close()
        link = null
        await delay(10)
      }
    }
    link?.close()
  }

  const asking = urls.flatMap((url) => Array.from({ length: connections }, (_, nth) => ask(url, nth)))
  return {
    outcomes,
    async stop() {
      isStopped = true
      await Promise.all(asking)
    },
  }
}
