import type { IncomingHttpHeaders } from 'node:http'

const HTML = ['text/html', 'text/*', '*/*']
/** Who takes JSON takes a problem document. */
const PROBLEM = ['application/problem+json', 'application/json', 'application/*', '*/*']

/** Characters of Accept that are read; browsers send fewer than two hundred. */
const MAX_ACCEPT = 1024

/**
 * Whether a refusal is to be a page that a person reads, rather than a problem document that a program does: by Accept and its quality
 * values (RFC 9110 section 12.5.1), where a browser loads a page. Of equals a program gets what programs read. Other methods than GET
 * load pages in browsers alone, by forms, which browsers say (Fetch Metadata).
 */
export function prefersHtml(method: string, headers: IncomingHttpHeaders): boolean {
  const accept = (headers.accept ?? '*/*').slice(0, MAX_ACCEPT)
  const isNavigation = headers['sec-fetch-mode'] === 'navigate'
  if (!isNavigation && ((method !== 'GET' && method !== 'HEAD') || !/text\//i.test(accept))) return false
  const ranges = rangesOf(accept)
  const html = qualityOf(ranges, HTML)
  const problem = qualityOf(ranges, PROBLEM)
  return html > problem || (isNavigation && html > 0 && html === problem)
}

/** The quality values of the media ranges; one with parameters of its own is another type than ours. */
function rangesOf(accept: string): ReadonlyMap<string, number> {
  const ranges = new Map<string, number>()
  for (const written of accept.toLowerCase().split(',')) {
    const [range = '', ...parameters] = written.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    if (parameters.some((parameter) => parameter !== weight && parameter !== '' && !isOurCharset(parameter))) continue
    const quality = weight === undefined ? 1 : Number(weight.slice(2))
    if (quality >= 0 && quality <= 1) ranges.set(range, Math.max(quality, ranges.get(range) ?? 0))
  }
  return ranges
}

function isOurCharset(parameter: string): boolean {
  return parameter === 'charset=utf-8' || parameter === 'charset="utf-8"'
}

/** That of the most specific range; 0 where none matches. */
function qualityOf(ranges: ReadonlyMap<string, number>, types: readonly string[]): number {
  for (const type of types) {
    const quality = ranges.get(type)
    if (quality !== undefined) return quality
  }
  return 0
}
