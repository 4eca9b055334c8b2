import { parseAddress } from '../identity/address.ts'
import type { Logger } from '../log.ts'
import type { MetricsSnapshot } from '../metrics/aggregate.ts'
import type { Policy } from '../policy/types.ts'
import type { Order } from '../proxy/orders.ts'
import { createAudit, type Deed } from './audit.ts'
import type { Backstage, Shown } from './backstage.ts'
import { explainRoute } from './explain-route.ts'
import { BadMember, onlyMembers, readEnd, readKey, readReason, readShown } from './read-order.ts'
import { type AdminAnswer, type AdminRequest, type AdminRoute, json, problem } from './route.ts'
import { shownOrder, shownPolicy, shownState, shownTop } from './shown.ts'
import { readStats } from './stats.ts'

export type ApiOptions = {
  readonly backstage: Backstage
  readonly snapshot: () => Promise<MetricsSnapshot>
  /** The policy in force, and the file it comes from; null where there is none. */
  readonly policy: () => Policy
  readonly policyFile: string | null
  readonly log: Logger
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number
}

const AWAY = 'The shared store is away: try again when it answers.'

/** The routes of the API (docs/12-admin.md). What changes something says why, and is noted. */
export function createApi(options: ApiOptions): readonly AdminRoute[] {
  const { backstage, snapshot, policy, log, wallMs } = options
  const audit = createAudit(log)

  function reads(path: string, answer: AdminRoute['answer']): AdminRoute {
    return { method: 'GET', path, access: 'read', answer: refusing(answer) }
  }

  /** Changes nothing; what it asks about must not stand in an address, for it may be a secret. */
  function asks(path: string, answer: AdminRoute['answer']): AdminRoute {
    return { method: 'POST', path, access: 'read', answer: refusing(answer) }
  }

  function changes(path: string, answer: AdminRoute['answer']): AdminRoute {
    return { method: 'POST', path, access: 'change', answer: refusing(answer) }
  }

  function note(action: Deed['action'], key: string, reason: string, untilMs?: number): void {
    audit.note({ at_ms: wallMs(), action, key, reason, ...(untilMs === undefined ? {} : { until_ms: untilMs }) })
  }

  function ordering(kind: Order['kind']): AdminRoute {
    return changes(`/api/${kind}`, async ({ body }) => {
      onlyMembers(body, ['key', 'for', 'until', 'reason'])
      const order = { kind, key: readKey(body.key), untilMs: readEnd(body, wallMs()), reason: readReason(body.reason) }
      if (order.key.includes('~')) {
        throw new BadMember('key is a bucket that many share who have no place of their own; order about their network')
      }
      if (!(await backstage.place(order)))
        return problem(409, 'There are as many bans and grants as are kept: lift some.')
      note(kind, order.key, order.reason, order.untilMs)
      return json(shownOrder(order))
    })
  }

  return [
    reads('/api/stats', async () => json(readStats(await snapshot(), policy(), wallMs()))),
    reads('/api/refusals', async () => json(await backstage.refusals())),
    reads('/api/explain', explainRoute(backstage)),
    asks('/api/explain', explainRoute(backstage)),
    reads('/api/refused', async () => json(shownTop(await backstage.topRefused()))),
    reads('/api/orders', async () => json((await backstage.orders()).map(shownOrder))),
    reads('/api/audit', async () => json(audit.list())),
    reads('/api/policy', async () => json(policyInForce(await snapshot(), policy(), options.policyFile))),
    reads('/api/keys/:id', async ({ id }) => json(shownState(await backstage.keyState({ key: readKey(id) })))),
    asks('/api/lookup', async ({ body }) => {
      const { keys, untold } = await backstage.keysOf(readLookup(body, policy()))
      const states = await Promise.all(keys.map((key) => backstage.keyState(key)))
      // What one key does not tell another of them may.
      return json(states.map((state) => shownState({ ...state, untold: state.limit === null ? untold : [] })))
    }),
    changes('/api/reset', async ({ body }) => {
      onlyMembers(body, ['key', 'reason'])
      const key = readKey(body.key)
      const reason = readReason(body.reason)
      if (!(await backstage.reset({ key }))) return problem(503, AWAY, ['Retry-After', '1'])
      note('reset', key, reason)
      return json(shownState(await backstage.keyState({ key })))
    }),
    ordering('ban'),
    ordering('grant'),
    changes('/api/lift', async ({ body }) => {
      onlyMembers(body, ['key', 'reason'])
      const key = readKey(body.key)
      const reason = readReason(body.reason)
      const lifted = await backstage.lift(key)
      if (lifted === null) return problem(404, 'There is neither a ban nor a grant on this key.')
      note('lift', key, reason)
      return json(shownOrder(lifted))
    }),
  ]
}

/** Answers a member that is wrong with 400. */
function refusing(answer: AdminRoute['answer']): (request: AdminRequest) => Promise<AdminAnswer> {
  return async (request) => {
    try {
      return await answer(request)
    } catch (cause) {
      if (cause instanceof BadMember) return problem(400, cause.message)
      throw cause
    }
  }
}

function readLookup(body: AdminRequest['body'], { identity }: Policy): Shown {
  onlyMembers(body, ['address', 'token', 'api_key', 'user_agent', 'accept_language'])
  const address = readShown(body, 'address')
  const token = readShown(body, 'token')
  const apiKey = readShown(body, 'api_key')
  if (address === null && token === null && apiKey === null) {
    throw new BadMember('nothing to look up; write an address, a token or an api_key')
  }
  // What was meant for one member may stand in another: no value is shown.
  if (address !== null && parseAddress(address) === null) {
    throw new BadMember('address is not an IP address; write one such as 203.0.113.7 or 2001:db8::1')
  }
  if (apiKey !== null && identity.apiKeys === null) {
    throw new BadMember('the policy knows no API keys; set identity.api_keys, or look for a token')
  }
  return {
    address,
    // A whole field value is taken as it stands: `Basic ...`, `Bearer ...`.
    authorization: token === null || token.includes(' ') ? token : `Bearer ${token}`,
    apiKey,
    userAgent: readShown(body, 'user_agent'),
    acceptLanguage: readShown(body, 'accept_language'),
  }
}

function policyInForce(snapshot: MetricsSnapshot, policy: Policy, file: string | null) {
  const latest = (name: string) => snapshot.find((metric) => metric.name === name)?.values[0]?.value ?? 0
  return {
    hash: policy.hash,
    file,
    mode: policy.mode,
    loaded_at_ms: Math.round(latest('sluice_config_last_reload_success_timestamp_seconds') * 1000),
    last_reload: latest('sluice_config_last_reload_successful') > 0 ? 'success' : 'failure',
    policy: shownPolicy(policy),
  }
}
