import { createHash } from 'node:crypto'
import type { Policy } from './types.ts'

/**
 * Names a resolved policy: the first 12 hex digits of a SHA-256 over it as JSON with sorted keys. Secrets, tokens and
 * passwords are left out, so that the hash may be shown and tells nothing about them.
 */
export function policyHash(policy: Omit<Policy, 'hash'>): string {
  const json = JSON.stringify(withoutSecrets(policy))
  return createHash('sha256').update(json).digest('hex').slice(0, 12)
}

/** A policy that may be shown: without secrets, tokens, private keys and passwords; its keys sorted. */
export function withoutSecrets(policy: Omit<Policy, 'hash'>): unknown {
  const { adminToken: _token, ...shown } = policy
  const { secrets: _secrets, ...identity } = policy.identity
  const parts = { upstream: withoutKey(policy.upstream), identity, store: withoutPassword(policy.store) }
  return canonical({ ...shown, ...parts })
}

function withoutKey({ tls, ...upstream }: Policy['upstream']): object {
  if (tls === null) return upstream
  const { key: _key, ...shown } = tls
  return { ...upstream, tls: shown }
}

function withoutPassword(store: Policy['store']): object {
  if (store.kind === 'memory') return store
  const { password: _password, servers, ...shown } = store
  const bare = (url: string) => url.replace(/\/\/[^/@]*@/, '//')
  if (servers.kind === 'single') return { ...shown, servers: { ...servers, url: bare(servers.url) } }
  if (servers.kind === 'cluster') return { ...shown, servers: { ...servers, nodes: servers.nodes.map(bare) } }
  return { ...shown, servers }
}

function canonical(value: unknown): unknown {
  if (value instanceof Map) return canonical(Object.fromEntries(value))
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(sorted.map(([key, member]) => [key, canonical(member)]))
}
