import { withoutSecrets } from '../policy/policy-hash.ts'
import { shownValue } from '../policy/redact.ts'
import type { Match, Policy } from '../policy/types.ts'
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

/** A policy as it came to be (durations in milliseconds), without its secrets and what fields that bear credentials must hold. */
export function shownPolicy({ limits, exempt, deny, ...policy }: Policy): unknown {
  return inSnakeCase(
    withoutSecrets({ ...policy, limits: limits.map(hiding), exempt: exempt.map(hiding), deny: deny.map(hiding) }),
  )
}

function hiding<Entry extends { readonly match: Match }>(entry: Entry): Entry {
  const headers = entry.match.headers.map((field) => ({
    ...field,
    value: field.value && shownValue({ ...field, value: field.value }),
  }))
  return { ...entry, match: { ...entry.match, headers } }
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
