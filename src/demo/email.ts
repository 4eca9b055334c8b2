import { domainToASCII } from 'node:url'

const MAX_LENGTH = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
const MAX_LOCAL_LENGTH = 64
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** What a quoted local part would need, and what breaks lines and headers; `\p{C}` is control, format and unassigned. */
const NOT_LOCAL = /[\s\p{C}"(),:;<>[\\\]@]/u

/**
 * One spelling for all the spellings of an address, so that it is taken once: trimmed, NFKC, lower case, the domain in
 * ASCII (`Ann@Bücher.example` -> `ann@xn--bcher-kva.example`). Applying it twice changes nothing.
 * Undefined when the text is no address that mail could be sent to: `local@domain.tld`, unquoted, at most 254 long.
 */
export function normaliseEmail(text: string): string | undefined {
  // Before NFKC, which may grow a text eighteenfold.
  if (text.length > 4 * MAX_LENGTH) return undefined
  const folded = text.normalize('NFKC').toLowerCase().normalize('NFKC').trim()
  const at = folded.lastIndexOf('@')
  const local = folded.slice(0, at)
  const domain = domainToASCII(folded.slice(at + 1))
  if (at < 1 || local.length > MAX_LOCAL_LENGTH || NOT_LOCAL.test(local) || !isDotted(local)) return undefined
  const labels = domain.split('.')
  if (labels.length < 2 || !labels.every((label) => LABEL.test(label))) return undefined
  const email = `${local}@${domain}`
  return email.length > MAX_LENGTH ? undefined : email
}

/** A dot-atom (RFC 5322 section 3.2.3): no dot at either end, no two in a row. */
function isDotted(local: string): boolean {
  return !local.split('.').includes('')
}
