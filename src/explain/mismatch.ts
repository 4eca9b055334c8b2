import { compileMatch, type MatchReading, type MatchSubject } from '../policy/match.ts'
import { shownValue } from '../policy/redact.ts'
import type { Match } from '../policy/types.ts'

const EVERYTHING: Match = { paths: [], methods: [], notMethods: [], hosts: [], headers: [] }

/** What of a limit's match a request does not meet; empty where it meets all. */
export function mismatches(match: Match, subject: MatchSubject, reading: MatchReading): string[] {
  const fails = (part: Partial<Match>) =>
    compileMatch([{ match: { ...EVERYTHING, ...part } }], 'folded', reading)(subject).length === 0
  const { paths, methods, notMethods, hosts, headers } = match
  const found: string[] = []
  if (paths.length > 0 && fails({ paths })) found.push(`path ${subject.target.path} is not ${either(paths)}`)
  if (methods.length > 0 && fails({ methods })) found.push(`method ${subject.method} is not ${either(methods)}`)
  if (notMethods.length > 0 && fails({ notMethods })) found.push(`method ${subject.method} is left out by not`)
  if (hosts.length > 0 && fails({ hosts })) found.push(`host ${subject.host || '(none)'} is not ${either(hosts)}`)
  for (const { name, value } of headers) {
    if (!fails({ headers: [{ name, value }] })) continue
    found.push(value === null ? `header ${name} is present` : `header ${name} is not '${shownValue({ name, value })}'`)
  }
  return found
}

function either(values: readonly string[]): string {
  return values.join(' or ')
}
