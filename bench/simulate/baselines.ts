import { isIPv6 } from 'node:net'
import type { Message } from './message.ts'

/** What others limit by. */
export const BASELINES = ['ip', 'ua + ip', 'headers + token + ip'] as const
export type BaselineName = (typeof BASELINES)[number]

export type Baseline = {
  readonly name: BaselineName
  /** Whether the request passes; then it has taken a token. */
  admits(message: Message, nowUs: number): boolean
}

/** A pure token bucket for each key. `rate` is tokens a second. */
export function createBaseline(name: BaselineName, limit: { readonly rate: number; readonly burst: number }): Baseline {
  const { rate, burst } = limit
  const buckets = new Map<string, { tokens: number; timeUs: number }>()
  return {
    name,
    admits(message, nowUs) {
      const key = keyOf(name, message)
      let bucket = buckets.get(key)
      if (bucket === undefined) {
        bucket = { tokens: burst, timeUs: nowUs }
        buckets.set(key, bucket)
      }
      bucket.tokens = Math.min(burst, bucket.tokens + ((nowUs - bucket.timeUs) / 1e6) * rate)
      bucket.timeUs = nowUs
      if (bucket.tokens < 1 - 1e-9) return false
      bucket.tokens -= 1
      return true
    },
  }
}

/** They get the true address, an IPv6 client as its /64: what a careful operator configures. */
function keyOf(name: BaselineName, { address, head }: Message): string {
  const network = isIPv6(address) ? address.split(':').slice(0, 4).join(':') : address
  if (name === 'ip') return network
  return name === 'ua + ip' ? `${network}\n${head.userAgent}` : `${network}\n${head.fingerprint}`
}
