import type { Fields } from './fields.ts'
import { rememberFew } from './remember-few.ts'

/** What a response says of caches. */
export type Caching = {
  /** Cache-Control; null where there is none. */
  readonly control: CacheControl | null
  /** A field for CDNs alone, which comes before Cache-Control (RFC 9213 and its forerunners), lets them keep it. */
  readonly isForCdns: boolean
  readonly isDated: boolean
  readonly hasEtag: boolean
  readonly setsCookie: boolean
  /** The kind of content, as far as it matters here; null where it is not said, as on a 304. */
  readonly content: 'html' | 'json' | 'other' | null
}

/** What the directives of Cache-Control (RFC 9111 section 5.2) come to for a shared cache. */
export type CacheControl = {
  /** No shared cache may keep it: `no-store` or `private`, of the whole response. */
  readonly isPrivate: boolean
  /** Kept also where the request had credentials: `public`, `s-maxage`, `must-revalidate` (section 3.5). */
  readonly isPublic: boolean
  readonly hasLifetime: boolean
  /** It says how long, if only that it is not at all. */
  readonly isTold: boolean
}

/** Where one party may read a directive that another does not, the response counts as one that is kept. */
const UNCLEAR: CacheControl = { isPrivate: false, isPublic: true, hasLifetime: true, isTold: true }

/** Reads what a response says of caches. */
export function readCaching({ fields, names }: Fields): Caching {
  let control: string | null = null
  let isForCdns = false
  let isDated = false
  let hasEtag = false
  let setsCookie = false
  let content: Caching['content'] = null
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    const value = fields[2 * i + 1]!
    if (name === 'cache-control') control = control === null ? value : `${control},${value}`
    else if (name === 'content-type') content = contentOf(value)
    else if (name === 'etag') hasEtag = true
    else if (name === 'last-modified' || name === 'expires') isDated = true
    else if (name === 'set-cookie') setsCookie = true
    else if (isCdnField(name)) isForCdns ||= letsCdnsKeep(name, value)
  }
  const read = control === null ? null : readCacheControl(control)
  return { control: read, isForCdns, isDated, hasEtag, setsCookie, content }
}

/**
 * Whether a shared cache may keep a response (RFC 9111 section 3): fields that are one client's must not stand there. Where nothing
 * is said of a lifetime, one with a date to guess from counts as kept (section 4.2.2), and so does a file with a tag.
 */
export function isSharedCacheable(method: string, isAuthorized: boolean, caching: Caching): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  if (caching.isForCdns) return true
  const { control, content } = caching
  if (control?.isPrivate) return false
  if (isAuthorized) return control?.isPublic ?? false
  if (control?.isPublic || control?.hasLifetime) return true
  if (control?.isTold) return false
  return caching.isDated || (caching.hasEtag && content === 'other')
}

/** Directives are told apart outside of quoted strings, and a value that names fields speaks of those alone. */
export const readCacheControl: (field: string) => CacheControl = rememberFew((field) => {
  const control = { isPrivate: false, isPublic: false, hasLifetime: false, isTold: false }
  for (const part of partsOf(field)) {
    const [written = '', ...rest] = part.split('=')
    const name = written.trim().toLowerCase()
    const value = rest.length === 0 ? null : rest.join('=').trim()
    // An odd number of quotes: where the value ends nobody knows.
    if (value !== null && value.split('"').length % 2 === 0) return UNCLEAR
    const isPositive = value !== null && /^"?0*[1-9]\d*"?$/.test(value)
    if (name === 'no-store' || (name === 'private' && value === null)) control.isPrivate = true
    if (name === 'public' || name === 'must-revalidate' || (name === 's-maxage' && isPositive)) control.isPublic = true
    if (name === 'max-age' && isPositive) control.hasLifetime = true
    if (name === 'max-age' || name === 's-maxage' || (name === 'no-cache' && value === null)) control.isTold = true
  }
  return control
})

function partsOf(field: string): string[] {
  if (!field.includes('"')) return field.split(',')
  const parts: string[] = []
  let from = 0
  let isQuoted = false
  for (let i = 0; i < field.length; i++) {
    const sign = field[i]
    if (isQuoted && sign === '\\') i++
    else if (sign === '"') isQuoted = !isQuoted
    else if (sign === ',' && !isQuoted) {
      parts.push(field.slice(from, i))
      from = i + 1
    }
  }
  parts.push(field.slice(from))
  return parts
}

/** `CDN-Cache-Control`, a vendor's before it or in its place (`Cloudflare-CDN-`, `Netlify-`, `X-LiteSpeed-`), and older ones. */
function isCdnField(name: string): boolean {
  return name.endsWith('-control')
    ? name.endsWith('-cache-control') || name === 'surrogate-control' || name === 'edge-control'
    : name === 'x-accel-expires'
}

function letsCdnsKeep(name: string, value: string): boolean {
  return name === 'x-accel-expires' ? value.trim() !== '0' : !readCacheControl(value).isPrivate
}

function contentOf(type: string): Caching['content'] {
  const [essence = ''] = type.split(';', 1)
  const name = essence.trim().toLowerCase()
  if (name === 'text/html' || name === 'application/xhtml+xml') return 'html'
  return name === 'application/json' || name.endsWith('+json') ? 'json' : 'other'
}
