import { mkdirSync, writeFileSync } from 'node:fs'
import { optionsOf, USAGE } from './options.ts'
import { markdownOf, missesOf, type Report, reportOf, summaryOf } from './report.ts'
import { run } from './run.ts'
import type { Strategy } from './strategies.ts'

/** Drives the real proxy through the attacks of the identity design, and says whether its targets hold: exit code 1 where not. */
async function main(): Promise<void> {
  const options = optionsOf(process.argv.slice(2))
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n${USAGE}`)
    process.exitCode = 2
    return
  }
  const { seed, strategies, states, isJson, isWritten } = options
  const reports: Report[] = []
  for (const state of states) {
    for (const together of groupsOf(strategies)) {
      const result = await run({ seed, strategies: together, state })
      const { requests, cpuSeconds } = result
      const ids = together.map(({ id }) => id).join(' ')
      const speed = `${requests} requests in ${cpuSeconds.toFixed(1)} CPU seconds`
      process.stderr.write(`${ids} ${state}: ${speed}, ${Math.round(requests / cpuSeconds)} per second\n`)
      for (const strategy of together) {
        const report = reportOf(result, strategy)
        reports.push(report)
        if (!isJson) process.stdout.write(`${markdownOf(report)}\n`)
      }
    }
  }
  if (isJson) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`)
  else process.stdout.write(`${summaryOf(reports)}\n${missesOf(reports)}`)
  if (isWritten) writePage(seed, reports)
  process.exitCode = reports.every(({ verdicts }) => verdicts.every(({ holds }) => holds)) ? 0 : 1
}

function writePage(seed: number, reports: readonly Report[]): void {
  const date = new Date().toISOString().slice(0, 10)
  const page = [
    `# Simulation, seed ${seed}, ${date}`,
    '',
    '60 requests a minute and a burst of 30 for each device; how it is made: bench/README.md. Shares of refused requests are over the',
    'ten minutes of the run; members are requests that bore a device cookie.',
    '',
    summaryOf(reports),
    '## Misses',
    '',
    missesOf(reports),
    '## Every run',
    '',
    ...reports.map(markdownOf),
  ]
  mkdirSync('bench/results', { recursive: true })
  const file = `bench/results/${date}-simulation-seed-${seed}.md`
  writeFileSync(file, page.join('\n'))
  process.stderr.write(`written: ${file}\n`)
}

/**
 * Strategies that share a run, because they share no network: those that attack from addresses of their own; and of those inside
 * an honest one, one for each network.
 */
function groupsOf(strategies: readonly Strategy[]): Strategy[][] {
  const groups: Strategy[][] = []
  for (const strategy of strategies) {
    const isOutside = strategy.inside === null
    const group = groups.find((others) =>
      others.every(({ inside }) => (isOutside ? inside === null : inside !== null && inside !== strategy.inside)),
    )
    if (group === undefined) groups.push([strategy])
    else group.push(strategy)
  }
  return groups
}

await main()
