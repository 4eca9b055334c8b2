import { boundOf } from './bounds.ts'
import type { RunResult } from './run.ts'
import type { Strategy } from './strategies.ts'
import { LIMITERS, type Tally } from './tally.ts'
import { shareOf, type Verdict, verdictsOf } from './verdicts.ts'

/** One run for machines: shares between 0 and 1, null where nobody sent anything of the kind. */
export type Report = {
  readonly strategy: string
  readonly title: string
  readonly state: string
  readonly seed: number
  readonly requests: number
  readonly cpuSeconds: number
  readonly attackSent: number
  readonly bound: { readonly formula: string; readonly requests: number } | null
  readonly limiters: readonly LimiterReport[]
  readonly verdicts: readonly Verdict[]
}

export type LimiterReport = {
  readonly name: string
  readonly attackPassed: number
  readonly refused: Readonly<Record<Group, number | null>>
  readonly worstFirstMinute: { readonly name: string; readonly share: number }
}

const GROUPS = {
  all: 'honest',
  members: 'members',
  cookieless: 'cookieless',
  office: 'office',
  officeMembers: 'office members',
  officeFirstTwoMinutes: 'first two minutes: office',
  officeMembersUnderAttack: 'under attack: office members',
  carrierMembersUnderAttack: 'under attack: carrier-1 members',
} as const
type Group = keyof typeof GROUPS

export function reportOf(result: RunResult, strategy: Strategy): Report {
  const { state, seed, requests, cpuSeconds, tally, times, sizes } = result
  const neighbours = strategy.inside === null ? 0 : strategy.inside === 'office' ? sizes.office : sizes.perCarrier
  return {
    strategy: strategy.id,
    title: strategy.title,
    state,
    seed,
    requests,
    cpuSeconds,
    attackSent: tally.get(strategy.id).sent,
    bound: boundOf(strategy.id, times, neighbours),
    limiters: LIMITERS.map((name, i) => limiterReport(name, i, strategy.id, tally)),
    verdicts: verdictsOf(result, strategy),
  }
}

function limiterReport(name: string, limiter: number, id: string, tally: Tally): LimiterReport {
  const attack = tally.get(id)
  const refused = {} as Record<Group, number | null>
  for (const [group, label] of Object.entries(GROUPS) as [Group, string][]) {
    refused[group] = shareOf(tally.get(label), limiter)
  }
  return {
    name,
    attackPassed: attack.sent - attack.refused[limiter]!,
    refused,
    worstFirstMinute: tally.worst('first minute: ', limiter),
  }
}

const COLUMNS = [
  '',
  'attack passed',
  'refused: all',
  'members',
  'without cookies',
  'office',
  "office's members",
  'office, 2 min',
  'worst network, 1st min',
]

/** One run as a Markdown section: the table of all limiters, then each target. */
export function markdownOf(report: Report): string {
  const { strategy, title, state, attackSent, bound, limiters, verdicts } = report
  const rows = limiters.map(({ name, attackPassed, refused, worstFirstMinute: worst }) => [
    name,
    `${attackPassed} (${percent(attackPassed / attackSent)})`,
    percent(refused.all),
    percent(refused.members),
    percent(refused.cookieless),
    percent(refused.office),
    percent(refused.officeMembers),
    percent(refused.officeFirstTwoMinutes),
    `${percent(worst.share)} (${worst.name})`,
  ])
  const boundText = bound === null ? 'no bound' : `bound ${Math.floor(bound.requests)} (${bound.formula})`
  return [
    `### ${strategy} ${title}, ${state}`,
    '',
    `${attackSent} attack requests; ${boundText}`,
    '',
    row(COLUMNS),
    row(COLUMNS.map(() => '---')),
    ...rows.map(row),
    '',
    ...verdicts.map((verdict) => `- ${verdictText(verdict)}`),
    '',
  ].join('\n')
}

/** All runs in one table: what of the attack passed where, and who paid. */
export function summaryOf(reports: readonly Report[]): string {
  const columns = [
    '',
    'state',
    'bound',
    ...LIMITERS.map((name) => `passed: ${name}`),
    'honest refused',
    ...LIMITERS.slice(1).map((name) => `by ${name}`),
    'members',
    'targets',
  ]
  const rows = reports.map(({ strategy, title, state, attackSent, bound, limiters, verdicts }) => [
    `${strategy} ${title}`,
    state,
    bound === null ? 'none' : percent(Math.min(1, bound.requests / attackSent)),
    ...limiters.map(({ attackPassed }) => percent(attackPassed / attackSent)),
    ...limiters.map(({ refused }) => percent(refused.all)),
    percent(limiters[0]!.refused.members),
    verdicts.every(({ holds }) => holds) ? 'hold' : `**${verdicts.filter(({ holds }) => !holds).length} missed**`,
  ])
  return [row(columns), row(columns.map(() => '---')), ...rows.map(row), ''].join('\n')
}

export function missesOf(reports: readonly Report[]): string {
  const misses = reports.flatMap(({ strategy, state, verdicts }) =>
    verdicts.filter(({ holds }) => !holds).map((verdict) => `- ${strategy} ${state}: ${verdictText(verdict)}`),
  )
  return misses.length === 0 ? 'All targets hold.\n' : `${misses.join('\n')}\n`
}

function verdictText({ target, measured, atMost, unit, holds }: Verdict): string {
  const show = (value: number | null) => (unit === 'share' ? percent(value) : String(Math.floor(value ?? 0)))
  return `${holds ? 'holds' : '**MISSED**'}: ${target}: ${show(measured)}, at most ${show(atMost)}`
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function percent(share: number | null): string {
  return share === null ? '-' : `${(100 * share).toFixed(2)} %`
}
