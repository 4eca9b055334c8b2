import type { IncomingHttpHeaders } from 'node:http'
import type { ClientCertificatePolicy } from '../policy/types.ts'
import { separatorBefore } from './forwarded.ts'

/** A longer field names no certificate that anybody could have: a chain in PEM takes some KiB. */
const MAX_LENGTH = 64 * 1024

/**
 * Compiles what names the client's certificate in the field of a trusted peer; null where nothing does. Of Envoy's
 * X-Forwarded-Client-Cert it is one part of the rightmost element, the one that the peer itself has added; a part that comes
 * several times (URI, DNS) counts with all its values.
 */
export function compileClientCertificate({
  header,
  field,
}: ClientCertificatePolicy): (headers: IncomingHttpHeaders) => readonly string[] | null {
  return (headers) => {
    const value = headers[header]
    if (typeof value !== 'string' || value.length > MAX_LENGTH) return null
    if (field !== null) return partsOf(value, field)
    return value.trim() === '' ? null : [value.trim()]
  }
}

function partsOf(value: string, field: string): readonly string[] | null {
  const element = value.slice(separatorBefore(value, value.length, ',') + 1)
  const parts: string[] = []
  for (let end = element.length; end >= 0; ) {
    const start = separatorBefore(element, end, ';') + 1
    const part = /^([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^"]*))$/s.exec(element.slice(start, end).trim())
    const text = part?.[2]?.replace(/\\(.)/gs, '$1') ?? part?.[3] ?? ''
    if (part?.[1]?.toLowerCase() === field && text !== '') parts.unshift(text)
    end = start - 1
  }
  return parts.length === 0 ? null : parts
}
