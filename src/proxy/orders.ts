import type { Evidence } from '../identity/evidence.ts'

/** What an operator says of one key until some time: `ban` refuses it with 403, `grant` has no limit count it. */
export type Order = {
  readonly kind: 'ban' | 'grant'
  /** A pseudonym: of a network, or of what `aboutWhom` names. */
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly untilMs: number
  readonly reason: string
}

export type Orders = {
  /** How many there are, those included whose time has passed unnoticed: with none nobody need be looked for. */
  size(): number
  /** The order that holds for who shows this; a ban before a grant. */
  find(evidence: Evidence, nowMs: number): Order | null
  /** Puts an order in force, in place of the key's last one. False where there are too many. */
  place(order: Order, nowMs: number): boolean
  /** Takes back the order on a key and gives it; null where there is none. */
  lift(key: string, nowMs: number): Order | null
  /** Those in force, the next to end first. */
  list(nowMs: number): readonly Order[]
}

/** What a ban comes to: a deny. */
export const BAN = { status: 403 }

const MAX_ORDERS = 10_000

/** Keeps bans and grants, in this process alone: they survive a reload of the policy, not a restart. */
export function createOrders(): Orders {
  const orders = new Map<string, Order>()

  function inForce(key: string, nowMs: number): Order | null {
    const order = orders.get(key)
    if (order === undefined) return null
    if (nowMs < order.untilMs) return order
    orders.delete(key)
    return null
  }

  function expire(nowMs: number): void {
    for (const key of orders.keys()) inForce(key, nowMs)
  }

  return {
    size: () => orders.size,
    find(evidence, nowMs) {
      let granted: Order | null = null
      for (const key of aboutWhom(evidence)) {
        const order = inForce(key, nowMs)
        if (order?.kind === 'ban') return order
        granted ??= order
      }
      return granted
    },
    place(order, nowMs) {
      if (!orders.has(order.key) && orders.size >= MAX_ORDERS) expire(nowMs)
      if (!orders.has(order.key) && orders.size >= MAX_ORDERS) return false
      orders.set(order.key, order)
      return true
    },
    lift(key, nowMs) {
      const order = inForce(key, nowMs)
      orders.delete(key)
      return order
    },
    list(nowMs) {
      expire(nowMs)
      return [...orders.values()].sort((a, b) => a.untilMs - b.untilMs)
    },
  }
}

/**
 * The keys whose orders hold for who shows this: its network and those around it, and its own, as it is counted: a principal,
 * else a signed device, else a token and the class. So an order on a class leaves out who of it is proved.
 */
function aboutWhom({ network, principal, device, token, classId }: Evidence): readonly string[] {
  const keys = [network.id, ...network.parents.map(({ id }) => id)]
  if (principal !== null) keys.push(principal.id)
  if (device !== null) keys.push(device.id)
  if (principal !== null || device !== null) return keys
  if (token !== null) keys.push(token.id)
  keys.push(classId)
  return keys
}
