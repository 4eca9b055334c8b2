import { isIPv6 } from 'node:net'
import { isHostName } from './address.ts'
import { show } from './show.ts'
import type { HostPort } from './types.ts'
import type { Reading } from './units.ts'

/** The origin of an upstream, `http://host:port`. Other schemes are known but not built yet. */
export function readUpstreamUrl(text: string): Reading<string> {
  const write = 'write http://host:port, such as http://127.0.0.1:3000'
  if (/^(https:|unix:)/i.test(text)) return { wrong: `${show(hideUserinfo(text))} is not supported yet; ${write}` }
  const parts = /^http:\/\/([^/?#]*)(.*)$/is.exec(text)
  if (parts === null) return { wrong: `${show(hideUserinfo(text))} is not an upstream; ${write}` }
  if (parts[1]!.includes('@')) return { wrong: `has a user or password before the host; ${write}` }
  if (!/^\/?$/.test(parts[2]!)) return { wrong: `${show(text)} has more than an origin; ${write} without a path` }
  if (!isHostAndPort(parts[1]!)) return { wrong: `${show(text)} has no valid host and port; ${write}` }
  return { value: new URL(text).origin }
}

/** A Redis address as ioredis takes it: `redis[s]://[user[:password]@]host[:port][/db]`. Never shows what it was given. */
export function readRedisUrl(text: string): Reading<string> {
  const write = 'write redis://host:6379, with user and password in front of the host where there are any'
  const parts = /^rediss?:\/\/(?:([^/?#@]*)@)?([^/?#@]+)(?:\/(\d{0,5}))?$/i.exec(text)
  if (parts === null || !isHostAndPort(parts[2]!) || !hasValidEscapes(parts[1] ?? '')) {
    return { wrong: `is not the address of a Redis; ${write} (and %40, %2F, %3A, %23 for @, /, : and # in them)` }
  }
  return { value: text }
}

/** Where a JWK Set is fetched from: `https://host/path`, or http within one's own network. */
export function readJwksUrl(text: string): Reading<string> {
  const write = 'write one such as https://idp.example/.well-known/jwks.json'
  const parts = /^https?:\/\/([^/?#\s]+)([/?][^#\s]*)?$/i.exec(text)
  if (parts === null) return { wrong: `${show(hideUserinfo(text))} is not an address of keys; ${write}` }
  if (parts[1]!.includes('@')) return { wrong: `has a user or password before the host; ${write}` }
  if (!isHostAndPort(parts[1]!)) return { wrong: `${show(text)} has no valid host and port; ${write}` }
  return { value: new URL(text).href }
}

/** Whether a Redis address asks for TLS. */
export function isSecure(url: string): boolean {
  return /^rediss:/i.test(url)
}

/** The address of a node of a cluster, which has one database. */
export function readRedisNode(text: string): Reading<string> {
  const reading = readRedisUrl(text)
  if ('value' in reading && /[^/]\/\d*$/.test(text)) {
    return { wrong: 'names a database, and a cluster has but one; write redis://host:6379' }
  }
  return reading
}

/** The host and port of a sentinel. */
export function readSentinel(text: string): Reading<HostPort> {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  if (parts === null || !isHostAndPort(text)) {
    return {
      wrong: `${show(hideUserinfo(text))} is not the address of a sentinel; write host:port, such as 10.0.0.1:26379`,
    }
  }
  return { value: { host: (parts[1] ?? parts[2])!, port: Number(parts[3]) } }
}

/** An origin of the Fetch standard as browsers send it, or `*`. */
export function readOrigin(text: string): Reading<string> {
  if (text === '*') return { value: text }
  const write = 'write * or scheme://host[:port], such as https://app.example.com'
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@\s]+)(\/?)$/i.exec(text)
  if (parts === null) return { wrong: `${show(hideUserinfo(text))} is not an origin; ${write}` }
  const isWeb = /^https?$/i.test(parts[1]!)
  if (isWeb && !isHostAndPort(parts[2]!)) return { wrong: `${show(text)} is not an origin; ${write}` }
  const asSent = isWeb ? new URL(text).origin : `${parts[1]!.toLowerCase()}://${parts[2]}`
  if (asSent !== text) return { wrong: `${show(text)} is not how browsers send it; write ${asSent}` }
  return { value: text }
}

/** The text without what stands between `//` and the last `@`: it may hold a password. */
export function hideUserinfo(text: string): string {
  const start = text.indexOf('//')
  // A longer text is not searched: to find no @ behind each of its slashes would take forever.
  if (text.length > 2000 && start !== -1) return `${text.slice(0, start)}//***`
  return text.replace(/(\/\/)[^\s'"]*@/g, '$1***@')
}

function isHostAndPort(text: string): boolean {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  if (parts === null || Number(parts[3] ?? 1) > 65_535 || Number(parts[3] ?? 1) < 1) return false
  return parts[1] === undefined ? isHostName(parts[2]!) : isIPv6(parts[1]) && !parts[1].includes('%')
}

function hasValidEscapes(text: string): boolean {
  try {
    return decodeURIComponent(text) !== null
  } catch {
    return false
  }
}
