import { cpus, loadavg } from 'node:os'
import { BEFORE } from './contenders/sluice.ts'
import { type Spread, spreadOf } from './load/spread.ts'
import type { ProcessMemory } from './process-memory.ts'
import { holds, type Results, type Target, targetsOf } from './targets.ts'

/** The machine as it is now, in the words that a figure is quoted with. */
export function machineText(): string {
  const all = cpus()
  const others = `${loadavg()[0]!.toFixed(1)} processes running or waiting before the run`
  return `${all.length} cores, ${all[0]!.model.trim()}, Node ${process.versions.node}; ${others}`
}

/** The table of the design's promises, then all that was measured, as Markdown. */
export function markdownOf(results: Results): string {
  return [targetTable(results), ...requestTable(results), ...buildTable(results), ...otherFigures(results)].join('\n')
}

function targetTable(results: Results): string {
  const rows = targetsOf(results)
    .filter(({ reached }) => reached !== null)
    .map((target) => [
      target.against,
      `${target.bound === 'at least' ? '>=' : '<='} ${show(target, target.wanted)}`,
      show(target, target.reached!),
      holds(target) ? 'holds' : '**missed**',
    ])
  return rows.length === 0 ? '' : table(['against', 'target', 'reached', ''], rows)
}

function requestTable({ requests }: Results): string[] {
  if (requests.length === 0) return []
  const rows = requests.map(({ contender, perCpuSecond, perSecond, redisUs, errors }) => [
    contender.title,
    contender.name,
    whole(perCpuSecond),
    whole(perSecond),
    redisUs === null ? '' : redisUs.median.toFixed(2),
    String(errors),
  ])
  const columns = ['', '--only', 'requests per CPU second', 'per second of the clock', 'Redis, us a request', 'errors']
  return [table(columns, rows)]
}

/** This build against the other one: the ratio within each round, for what a neighbour takes it takes from both. */
function buildTable({ requests }: Results): string[] {
  const rows = requests.flatMap(({ contender, rounds }) => {
    const before = requests.find((other) => other.contender.name === contender.name + BEFORE)
    if (before === undefined) return []
    const { median, least, most } = spreadOf(rounds.map((now, nth) => now / before.rounds[nth]!))
    return [[contender.title, contender.name, `${median.toFixed(3)} x (${least.toFixed(3)} to ${most.toFixed(3)})`]]
  })
  return rows.length === 0 ? [] : [table(['', '--only', 'this build to the other, a CPU second'], rows)]
}

function otherFigures({ decisions, deviceMemory, processMemory, churn, latency }: Results): string[] {
  const lines: string[] = []
  if (decisions !== null) {
    const { hot, hotMembers, distinct } = decisions
    lines.push(
      `- Decisions for each CPU second, 2 limits: ${count(hot)} over 1,000 principals (2 buckets), ${count(hotMembers)} over 1,000 members (4 buckets), ${count(distinct)} over 1,000,000 principals.`,
    )
  }
  if (deviceMemory !== null) {
    const { process, redis, redisGrowth } = deviceMemory
    lines.push(
      `- A tracked device: ${process.toFixed(0)} bytes in process; in Redis ${redis.toFixed(0)} by MEMORY USAGE, ${redisGrowth.toFixed(0)} with its tables of keys and ends.`,
    )
  }
  if (processMemory !== null)
    lines.push(`- The whole process after so many devices, all in debt: ${weights(processMemory)}.`)
  if (churn !== null)
    lines.push(`- The same of devices whose buckets are full again within moments: ${weights(churn)}.`)
  if (latency !== null) {
    const { perSecond, directP99, proxiedP99, added, errors } = latency
    lines.push(
      `- Half load (${count(perSecond)} requests a second): p99 ${proxiedP99.median.toFixed(2)} ms through Sluice, ${directP99.median.toFixed(2)} ms direct, ${added.median.toFixed(2)} ms added (${added.least.toFixed(2)} to ${added.most.toFixed(2)}); ${errors} errors.`,
    )
  }
  return lines.length === 0 ? [] : [`${lines.join('\n')}\n`]
}

function weights(steps: ProcessMemory): string {
  return steps.map(([devices, bytes]) => `${count(devices)}: ${Math.round(bytes / 1024 ** 2)} MiB`).join(', ')
}

function show({ unit }: Target, value: number): string {
  if (unit === 'ratio') return `${value < 0.1 ? value.toFixed(3) : value.toFixed(2)} x`
  if (unit === 'ms') return `${value.toFixed(2)} ms`
  return unit === 'bytes' ? `${Math.round(value)} bytes` : `${count(value)} /s`
}

function whole({ median, least, most }: Spread): string {
  return `${count(median)} (${count(least)} to ${count(most)})`
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-GB')
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [row(columns), row(columns.map(() => '---')), ...rows.map(row), ''].join('\n')
}
