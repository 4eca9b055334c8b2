import { isIP, isIPv6 } from 'node:net'
import { isHostName } from './address.ts'
import { show } from './show.ts'
import type { HostPort } from './types.ts'
import type { Reading } from './units.ts'

/** What to write for an upstream. */
export const WRITE_UPSTREAM = 'http://host:port, https://host:port or unix:/path.sock'
/** What a socket's address has room for, on Linux with its NUL. */
const MAX_SOCKET_PATH_BYTES = 107

/** The origin of an upstream, `http://host:port` or `https://host:port`, or the path of its socket, `unix:/path.sock`. */
export function readUpstreamUrl(text: string): Reading<string> {
  const write = `write ${WRITE_UPSTREAM}`
  if (/^unix:/i.test(text)) return readSocketPath(text.slice('unix:'.length))
  const parts = /^https?:\/\/([^/?#]*)(.*)$/is.exec(text)
  if (parts === null) return { wrong: `${show(hideUserinfo(text))} is not an upstream; ${write}` }
  if (parts[1]!.includes('@')) return { wrong: `has a user or password before the host; ${write}` }
  if (!/^\/?$/.test(parts[2]!)) return { wrong: `${show(text)} has more than an origin; ${write} without a path` }
  if (!isHostAndPort(parts[1]!)) return { wrong: `${show(text)} has no valid host and port; ${write}` }
  return { value: new URL(text).origin }
}

function readSocketPath(path: string): Reading<string> {
  const write = 'write unix:/path.sock, an absolute path'
  if (!/^\/[^\0]*[^/\0]$/.test(path) || path.startsWith('//'))
    return { wrong: `${show(`unix:${path}`)} is not a socket; ${write}` }
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    return {
      wrong: `is a path of more than ${MAX_SOCKET_PATH_BYTES} bytes, which no socket can have; ${write} that is shorter`,
    }
  }
  return { value: `unix:${path}` }
}

/** The name of a server as certificates bear it; never an address, which TLS has no way to ask for (RFC 6066 section 3). */
export function readServerName(text: string): Reading<string> {
  if (isHostName(text) && isIP(text) === 0) return { value: text.toLowerCase() }
  return { wrong: `${show(text)} is not a host name; write one such as api.internal` }
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
  return text.replace(/[^\s'"]+/g, (word) => {
    const start = word.indexOf('//')
    const end = word.lastIndexOf('@')
    return start === -1 || end < start + 2 ? word : `${word.slice(0, start)}//***${word.slice(end)}`
  })
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
