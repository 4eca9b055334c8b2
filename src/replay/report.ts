import type { ClientCount } from './clients.ts'
import { escapeControls } from './formats/quote.ts'
import type { GroupSummary, PolicySummary, Summary } from './summary.ts'

const OUTCOMES = ['forwarded', 'exempt', 'limited', 'denied', 'error'] as const

/** The summary for a person to read: what would have become of the requests, by limit, and what the log cannot tell. */
export function report(summary: Summary): string {
  const { policy, against, difference, own } = summary
  const lines = [...aboutLog(summary), '']
  lines.push(`policy ${titleOf(policy)}${against === null ? '' : `, against ${titleOf(against)}`}`, '')
  lines.push(...aboutOutcomes(summary), '', ...aboutLimits(policy, 'under the policy'))
  if (against !== null) lines.push('', ...aboutLimits(against, 'under the one it is held against'))
  if (difference !== null) {
    lines.push('', ...aboutGroup('newly refused', difference.newly_refused))
    lines.push('', ...aboutGroup('no longer refused', difference.no_longer_refused))
  }
  if (own !== null) {
    const { same, different, first } = own.reproduced
    lines.push('', `Of the log's own ${number(same + different)} decisions ${number(different)} come out otherwise.`)
    if (first.length > 0) lines.push(...first.map((id) => `  request ${escapeControls(id)}`))
  }
  lines.push('', 'What this log cannot tell:')
  lines.push(...summary.cannot_tell.map(({ what, effect }) => `- ${what}: ${effect}`))
  return `${lines.join('\n')}\n`
}

function aboutLog({ log, seconds }: Summary): string[] {
  const formats = Object.keys(log.formats).join(', ')
  const speed = seconds > 0 ? `, ${number(Math.round(log.lines / seconds))} lines/s` : ''
  const lines = [`${counted(log.requests, 'request')} (${formats}), ${log.from} to ${log.to}${speed}`]
  if (log.no_request > 0) lines.push(`${counted(log.no_request, 'connection')} without a request`)
  const { count, share, first } = log.unreadable
  if (count > 0) {
    lines.push(`${counted(count, 'line')} of ${number(log.lines)} (${percent(share)}) could not be read, the first:`)
    for (const { file, line, text, reason, format } of first) {
      lines.push(`  ${file}:${line}: ${format === null ? '' : `${format}: `}${reason}`, `    ${text}`)
    }
  }
  return lines
}

function titleOf({ file, hash, mode }: PolicySummary): string {
  return `${file ?? 'of the defaults'} (${hash}${mode === 'shadow' ? ', in shadow: nothing is refused' : ''})`
}

function aboutOutcomes({ log, policy, against }: Summary): string[] {
  const rows = [['', 'requests', 'share', ...(against === null ? [] : ['against', 'share'])]]
  for (const outcome of OUTCOMES) {
    const counts = [policy, ...(against === null ? [] : [against])].map(({ outcomes }) => outcomes[outcome]!)
    if (counts.every((count) => count === 0)) continue
    rows.push([outcome, ...counts.flatMap((count) => [number(count), percent(count / log.requests)])])
  }
  return table(rows)
}

function aboutLimits({ limits, denied, refused }: PolicySummary, where: string): string[] {
  const rows = [['limit', 'per', 'applied', 'charged', 'refused', 'share', 'clients', 'first refusal']]
  for (const limit of limits) {
    const { name, per, mode, applied, would_limit: would, uncharged, requests, share, clients, first } = limit
    const count = mode === 'shadow' || would > 0 ? `(${number(would)})` : number(requests)
    const charged = number(applied - would - uncharged - requests)
    rows.push([name, per, number(applied), charged, count, percent(share), clientCount(clients), placed(first)])
  }
  const lines = [
    `Limits ${where}${limits.some(({ would_limit: would }) => would > 0) ? ' (in brackets: would, in shadow)' : ''}:`,
  ]
  lines.push(...table(rows))
  for (const [name, count] of Object.entries(denied)) lines.push(`denied by ${name}: ${number(count)}`)
  for (const limit of limits) if (limit.requests > 0) lines.push('', ...worst(`Most refused by ${limit.name}`, limit))
  if (limits.length > 1 && refused.requests > 0) lines.push('', ...worst('Most refused by any', refused))
  return lines
}

function aboutGroup(title: string, group: GroupSummary): string[] {
  const { requests, share, clients, first } = group
  const line = `${title}: ${number(requests)} requests (${percent(share)}) of ${clientCount(clients)} clients`
  return first === null ? [line] : [`${line}, first ${placed(first)}`, ...worst('Of these most', group)]
}

function worst(title: string, { worst: clients }: GroupSummary): string[] {
  const rows = clients.map(({ key, tier, requests, share }) => [`  ${key}`, tier, number(requests), percent(share)])
  return rows.length === 0 ? [] : [`${title}:`, ...table(rows)]
}

function clientCount({ count, exact }: ClientCount): string {
  return exact ? number(count) : `~${number(count)}`
}

function placed(first: GroupSummary['first']): string {
  return first === null ? '-' : `${first.time} (${first.file}:${first.line})`
}

function counted(count: number, what: string): string {
  return `${number(count)} ${what}${count === 1 ? '' : 's'}`
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

/** A share as a person reads it, with at most two decimals. */
export function percent(share: number): string {
  return share > 0 && share < 0.0001 ? '< 0.01 %' : `${(100 * share).toFixed(2)} %`
}

/** Columns as wide as their widest cell; what begins with a digit or a bracket stands to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const pad = (cell: string, i: number) =>
    /^[(~<]?[\d ]/.test(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : pad(cell, i)))
      .join('  ')
      .trimEnd(),
  )
}
