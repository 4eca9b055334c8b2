import type { IncomingHttpHeaders } from 'node:http'
import type { Explanation } from '../explain/explain.ts'
import type { Question } from '../explain/question.ts'
import { parseAddress } from '../identity/address.ts'
import type { CrowdSize } from '../identity/identity.ts'
import type { Jwks } from '../identity/jwks.ts'
import { tagOf } from '../identity/pseudonym.ts'
import type { Debit, LocalStore } from '../limiter/store.ts'
import type { Order, Orders } from '../proxy/orders.ts'
import type { RecentRefusals, Refusal } from '../proxy/recent-refusals.ts'
import { apart, type Rules } from '../proxy/rules.ts'
import type { Refused, TopRefused } from '../proxy/top-refused.ts'
import {
  type BucketState,
  bucketState,
  emptying,
  type KeyKind,
  type Look,
  looksAt,
  type NamedKey,
} from './key-buckets.ts'
import { type Given, sourceKeys, type Untold, untoldOf } from './source-keys.ts'

/** What a person gives to find a key by; hashed, and forgotten. */
export type Shown = {
  readonly address: string | null
  /** The value of the Authorization field. */
  readonly authorization: string | null
  readonly apiKey: string | null
  readonly userAgent: string | null
  readonly acceptLanguage: string | null
}

/** A key with what is known of it besides. */
export type AnyKey = Pick<NamedKey, 'key'> & Partial<NamedKey>

export type KeyState = {
  readonly key: string
  /** What it names, as far as is known here; null for a pseudonym that nobody has been refused under. */
  readonly kind: KeyKind | null
  /** Null while the shared store is away. */
  readonly buckets: readonly BucketState[] | null
  /** The limit with a list of sources that it is a key of. */
  readonly limit: string | null
  readonly order: Order | null
  readonly refused: Refused | null
  /** The limits whose buckets the key does not tell. */
  readonly untold: readonly Untold[]
}

/**
 * All that the admin port needs of a proxy, which may run in another process: plain data in, plain data out. Where there are
 * several, a reset and an order are for each of them, and what was refused at any of them counts.
 */
export type Backstage = {
  /** What would become of a request now, and why; charges nothing. */
  explain(question: Question): Promise<Explanation>
  /** The refusal of a request, if it was one of the last; the newest refusals. */
  refusal(requestId: string): Promise<Refusal | null>
  refusals(): Promise<readonly Refusal[]>
  topRefused(): Promise<ReturnType<TopRefused['list']>>
  /** The keys under which who shows this is counted, and the limits of which that cannot be told. Nothing is kept, logged or given back. */
  keysOf(shown: Shown): Promise<{ readonly keys: readonly NamedKey[]; readonly untold: readonly Untold[] }>
  keyState(named: AnyKey): Promise<KeyState>
  /** Fills a key's buckets. False where the shared store is away, and did not. */
  reset(named: AnyKey): Promise<boolean>
  orders(): Promise<readonly Order[]>
  /** False where there are too many. */
  place(order: Order): Promise<boolean>
  lift(key: string): Promise<Order | null>
}

/** How many of the newest refusals are told. */
export const SHOWN_REFUSALS = 50

export type BackstageOptions = {
  readonly rules: () => Rules
  readonly crowdSize: (networkId: string) => CrowdSize
  readonly local: LocalStore
  /** The store that instances share, past what is leased of it, and what ends those leases; null where there is none. */
  readonly shared: {
    charge(debits: readonly Debit[]): Promise<readonly number[] | null> | null
    endLeases(): void
  } | null
  readonly orders: Orders
  readonly topRefused: TopRefused
  readonly recentRefusals: RecentRefusals
  readonly explain: Backstage['explain']
  readonly jwks: Jwks
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number
}

/** Evidence wants a network, also where only a token is asked about. */
const NO_ADDRESS = { text: '0.0.0.0', family: 'ipv4' } as const

/** Opens the backstage of the proxy in this process. */
export function createBackstage(options: BackstageOptions): Backstage {
  const { local, shared, orders, topRefused, recentRefusals, wallMs } = options

  /** What requests show leaves traces in memory; what is looked up does not. */
  function givenBy(rules: Rules, { address, authorization, apiKey, userAgent, acceptLanguage }: Shown): Given {
    const { apiKeys } = rules.policy.identity
    const headers: IncomingHttpHeaders = {
      ...(authorization === null ? {} : { authorization }),
      ...(apiKey === null || apiKeys === null ? {} : { [apiKeys.header]: apiKey }),
      ...(userAgent === null ? {} : { 'user-agent': userAgent }),
      ...(acceptLanguage === null ? {} : { 'accept-language': acceptLanguage }),
    }
    const from = address === null ? NO_ADDRESS : parseAddress(address)
    const evidence = rules.identify.evidence(rules.identify.network(from!), headers, false, wallMs())
    return { headers, hasAddress: address !== null, evidence }
  }

  function clientKeys({ evidence, hasAddress }: Given): readonly NamedKey[] {
    const { network, principal, token, classId } = evidence
    const keys: NamedKey[] = []
    const own = { network: null, factor: 1, limit: null }
    if (principal !== null) keys.push({ ...own, key: principal.id, kind: 'principal', tag: principal.tag })
    if (token !== null) keys.push({ ...own, key: token.id, kind: 'token', tag: token.tag })
    if (!hasAddress) return keys
    const { id, tag, parents } = network
    if (principal === null) keys.push({ ...own, key: classId, kind: 'class', network: id, tag })
    for (const level of [{ id, factor: 1 }, ...parents]) {
      keys.push({ ...own, key: level.id, kind: 'network', network: level.id, tag, factor: level.factor })
    }
    return keys
  }

  function looksFor({ key, kind, network, tag, factor = 1, limit = null }: AnyKey): readonly Look[] {
    const known = topRefused.find(key)
    const home = network ?? known?.network ?? (kind === 'network' ? key : null)
    const crowd = options.crowdSize(home ?? key)
    const named = { key, kind: kind ?? kindOf(known), tag: tag ?? known?.tag ?? tagOf(key), factor, limit }
    return looksAt(named, options.rules().plans, crowd)
  }

  return {
    explain: options.explain,
    refusal: async (requestId) => recentRefusals.find(requestId),
    refusals: async () => recentRefusals.latest(SHOWN_REFUSALS),
    topRefused: async () => topRefused.list(wallMs()),
    async keysOf(shown) {
      const rules = apart(options.rules(), options.jwks)
      const given = givenBy(rules, shown)
      const keys = clientKeys(given)
      const more = sourceKeys(rules, given, keys)
      return { keys: [...keys, ...more.keys], untold: more.untold }
    },
    async keyState(named) {
      const looks = looksFor(named)
      const debits = looks.map(({ debit }) => debit)
      const debts = shared === null ? local.charge(debits) : await shared.charge(debits)
      const refused = topRefused.find(named.key)
      const nowMs = wallMs()
      const kind = named.kind ?? kindOf(refused)
      return {
        key: named.key,
        kind,
        limit: named.limit ?? null,
        buckets: debts && looks.map((look, i) => bucketState(look, debts[i]!)),
        order: orders.list(nowMs).find(({ key }) => key === named.key) ?? null,
        refused,
        untold: kind === null || named.limit != null ? [] : untoldOf(options.rules().plans),
      }
    },
    async reset(named) {
      const debits = emptying(looksFor(named))
      local.charge(debits)
      if (shared === null) return true
      // What is known here of the buckets would refuse on, until the time at which they would have had a token.
      shared.endLeases()
      return (await shared.charge(debits)) !== null
    },
    orders: async () => orders.list(wallMs()),
    place: async (order) => orders.place(order, wallMs()),
    lift: async (key) => orders.lift(key, wallMs()),
  }
}

/** What a key that was refused names, by its tier. */
export function kindOf(refused: Pick<Refused, 'tier'> | null): KeyKind | null {
  if (refused === null) return null
  const { tier } = refused
  return tier === 'overflow' ? 'class' : tier
}
