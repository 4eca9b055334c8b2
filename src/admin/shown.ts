import { withoutSecrets } from '../policy/policy-hash.ts'
import type { Policy } from '../policy/types.ts'
import type { Order } from '../proxy/orders.ts'
import type { TopRefused } from '../proxy/top-refused.ts'
import type { KeyState } from './backstage.ts'

/** Answers of the API: names in snake_case, as the policy and the log have them; times in milliseconds since the epoch. */

export type ShownOrder = Omit<Order, 'untilMs'> & { readonly until_ms: number }

export type ShownState = Omit<KeyState, 'order'> & { readonly order: ShownOrder | null }

export function shownOrder({ untilMs, ...order }: Order): ShownOrder {
  return { ...order, until_ms: untilMs }
}

export function shownState(state: KeyState): ShownState {
  return { ...state, order: state.order && shownOrder(state.order) }
}

export function shownTop({ sinceMs, refused }: ReturnType<TopRefused['list']>) {
  return { since_ms: sinceMs, refused }
}

/** A policy as it came to be (durations in milliseconds), without its secrets. */
export function shownPolicy(policy: Policy): unknown {
  return inSnakeCase(withoutSecrets(policy))
}

function inSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inSnakeCase)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key.replace(/(?<=[a-z\d])[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      inSnakeCase(member),
    ]),
  )
}
