import type { Message } from './message.ts'
import type { Device, Population } from './population.ts'
import type { Random } from './random.ts'

/**
 * What the devices and the proxy have behind them at second 0. `cold`: nothing. `returning`: visits in the 75 minutes before, on
 * the same proxy. `restart`: the same visits, on a proxy that has lost its store since, but not its secret.
 */
export const STATES = ['cold', 'returning', 'restart'] as const
export type State = (typeof STATES)[number]

export type Span = { readonly from: number; readonly to: number }

/** Seconds. The attack, at its rate, lies in the run. */
export type Times = { readonly run: Span; readonly attack: Span; readonly attackPerSecond: number }

export const TIMES: Times = { run: { from: 0, to: 600 }, attack: { from: 200, to: 600 }, attackPerSecond: 100 }

/** A request of an honest device, or of an attacker (`device` null); its message is made when its turn comes. */
export type Turn = {
  readonly at: number
  readonly device: Device | null
  /** `honest`, or the strategy. */
  readonly sender: string
  message(): Message
}

/** Requests a page takes. */
const PAGE = 6
/** A page every minute, a little early or late. */
const EVERY = 60
const JITTER = 2

/** Every device's page loads in a span: a document, then five requests for data within one to two seconds. */
export function pageLoads({ devices }: Population, { from, to }: Span, random: Random): Turn[] {
  const turns: Turn[] = []
  for (const device of devices) {
    for (let start = from + device.phase; start < to; start += EVERY) {
      const first = Math.max(from, start + (random.next() - 0.5) * 2 * JITTER)
      const length = 1 + random.next()
      for (let i = 0; i < PAGE; i++) {
        const head = i === 0 ? device.document : i < PAGE - 1 ? device.fetch : device.last
        const at = first + (i === 0 ? 0 : (length * (i - 1 + random.next())) / (PAGE - 1) + 0.05)
        if (at < to) turns.push({ at, device, sender: 'honest', message: () => messageOf(device, head) })
      }
    }
  }
  return inOrder(turns)
}

/** One request of every device, spread evenly over a span. */
export function singleVisits({ devices }: Population, { from, to }: Span): Turn[] {
  return inOrder(
    devices.map((device) => ({
      at: from + (device.phase / EVERY) * (to - from),
      device,
      sender: 'honest',
      message: () => messageOf(device, device.document),
    })),
  )
}

/** `count` requests that somebody other than the devices sends at an even pace. */
export function evenly(sender: string, count: number, { from, to }: Span, message: (n: number) => Message): Turn[] {
  return Array.from({ length: count }, (_, n) => ({
    at: from + ((n + 0.5) / count) * (to - from),
    device: null,
    sender,
    message: () => message(n),
  }))
}

export function inOrder(turns: Turn[]): Turn[] {
  return turns.sort((a, b) => a.at - b.at)
}

function messageOf({ network, jar }: Device, head: Message['head']): Message {
  return { head, address: network.address, route: 'ingress', jar }
}
