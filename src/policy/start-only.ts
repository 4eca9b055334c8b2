import type { Policy } from './types.ts'

export const IGNORED = 'these keys are read at the start only: restart to change them'

/**
 * The keys, as the policy file writes them, that differ from those the process started with and that a reload leaves as they
 * were. The secret is one: it names the buckets, and another would hand every client a full one.
 */
export function startOnlyChanges(next: Policy, first: Policy): string[] {
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  const drain = { drainDelay: 0, drainTimeout: 0 }
  // Only the rules look at them, which a reload compiles anew.
  const rules = { pathCase: 'insensitive', methodOverride: 'strip' }
  const areBothRandom = next.identity.secretIsRandom && first.identity.secretIsRandom
  const same: Record<string, boolean> = {
    listen: isSame(next.listen, first.listen),
    admin: isSame(next.admin, first.admin),
    upstream: isSame({ ...next.upstream, ...rules }, { ...first.upstream, ...rules }),
    server: isSame({ ...next.server, ...drain, ...rules }, { ...first.server, ...drain, ...rules }),
    store: isSame(next.store, first.store),
    'identity.secret': areBothRandom || isSame(next.identity.secrets, first.identity.secrets),
    'log.level': next.log.level === first.log.level,
  }
  return Object.keys(same).filter((key) => !same[key])
}

/** A policy that was read later, with what holds from the start on as `first` has it. */
export function keepStartOnly(next: Policy, first: Policy): Policy {
  const { listen, admin, upstream, store } = first
  const { drainDelay, drainTimeout, methodOverride } = next.server
  return {
    ...next,
    listen,
    admin,
    upstream: { ...upstream, pathCase: next.upstream.pathCase },
    store,
    server: { ...first.server, drainDelay, drainTimeout, methodOverride },
    identity: { ...next.identity, secrets: first.identity.secrets },
    log: { ...next.log, level: first.log.level },
  }
}
