import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { markdownOf, missesOf, type Report, reportOf, summaryOf } from './report.ts'
import { run } from './run.ts'
import { STATES, type State } from './schedule.ts'
import { STRATEGIES, type Strategy } from './strategies.ts'

const USAGE = `usage: npm run simulate -- [--seed N] [--strategy S2] [--state ${STATES.join('|')}] [--json] [--write]
Left out, strategy and state mean all of them; both may be given more than once. --write adds a page to bench/results/.
`

type Options = {
  readonly seed: number
  readonly strategies: readonly Strategy[]
  readonly states: readonly State[]
  readonly isJson: boolean
  readonly isWritten: boolean
}

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
    for (const strategy of strategies) {
      const report = reportOf(await run({ seed, strategy, state }))
      reports.push(report)
      const { requests, cpuSeconds } = report
      if (!isJson) process.stdout.write(`${markdownOf(report)}\n`)
      const speed = `${requests} requests in ${cpuSeconds.toFixed(1)} CPU seconds`
      process.stderr.write(`${strategy.id} ${state}: ${speed}, ${Math.round(requests / cpuSeconds)} per second\n`)
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

/** What the arguments ask for, or what is wrong with them. */
function optionsOf(args: readonly string[]): Options | string {
  let values: ReturnType<typeof read>['values']
  try {
    values = read(args).values
  } catch (cause) {
    return (cause as Error).message
  }
  const { seed = '5', strategy, state, json = false, write = false } = values
  if (!/^\d{1,9}$/.test(seed)) return `'${seed}' is not a seed; write a whole number`
  const wrongStrategy = strategy?.find((id) => !STRATEGIES.some((known) => known.id === id))
  if (wrongStrategy !== undefined) {
    return `'${wrongStrategy}' is not a strategy; write one of ${STRATEGIES.map(({ id }) => id).join(' ')}`
  }
  const wrongState = state?.find((name) => !STATES.includes(name as State))
  if (wrongState !== undefined) return `'${wrongState}' is not a state; write one of ${STATES.join(' ')}`
  return {
    seed: Number(seed),
    strategies: STRATEGIES.filter(({ id }) => strategy === undefined || strategy.includes(id)),
    states: STATES.filter((name) => state === undefined || state.includes(name)),
    isJson: json,
    isWritten: write,
  }
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      strategy: { type: 'string', multiple: true },
      state: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      write: { type: 'boolean' },
    },
  })
}

await main()
