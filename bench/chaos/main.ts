import { mkdirSync, writeFileSync } from 'node:fs'
import { type Options, optionsOf, USAGE } from './options.ts'
import { missesOf, type Row, tableOf } from './report.ts'
import { type Result, run } from './run.ts'
import { MEASUREMENTS, measure, measureIdle } from './saturate.ts'

/** Harms the Redis of two real proxies under load, and says whether what the documentation promises holds: exit code 1 where not. */
async function main(): Promise<void> {
  const options = optionsOf(process.argv.slice(2))
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n${USAGE}`)
    process.exitCode = 2
    return
  }
  const { isSaturating, isJson, isWritten } = options
  const tables = isSaturating ? await saturate(options) : [['fault', await harmAll(options)] as const]
  const rows = tables.flatMap(([, some]) => some)
  const text = `${tables.map(([first, some]) => `${tableOf(first, some)}\n`).join('')}${missesOf(rows)}`
  process.stdout.write(isJson ? `${JSON.stringify(rows, null, 2)}\n` : text)
  if (isWritten) writePage(isSaturating ? 'saturation' : 'chaos', text)
  process.exitCode = rows.every(({ promises }) => promises.every(({ holds }) => holds !== false)) ? 0 : 1
}

async function harmAll(options: Options): Promise<Row[]> {
  const rows: Row[] = []
  for (const fault of options.faults) {
    process.stderr.write(`${fault.name}\n`)
    rows.push(rowOf(await run(fault, options)))
  }
  return rows
}

async function saturate(options: Options): Promise<(readonly [first: string, rows: Row[]])[]> {
  const rows: Row[] = []
  for (const measurement of MEASUREMENTS) {
    process.stderr.write(`${measurement.name}\n`)
    rows.push(await measure(measurement, options))
  }
  process.stderr.write('idle buckets\n')
  return [
    ['load', rows],
    ['memory', [await measureIdle()]],
  ]
}

function rowOf({
  fault,
  requests,
  errors,
  p99,
  fallbacks,
  above,
  allowed,
  share,
  recovered,
  stalled,
  promises,
}: Result): Row {
  const wrong = Object.entries(errors).map(([kind, count]) => `${count} ${kind}`)
  return {
    name: fault,
    cells: {
      requests: String(requests),
      errors: wrong.join(', ') || '0',
      'decision p99 <= ms': String(p99),
      'own stalls ms': stalled.toFixed(0),
      'without Redis': String(fallbacks),
      'most above rate * T': `${above.toFixed(1)} of ${allowed.toFixed(1)}`,
      'passed of due': `${(100 * share).toFixed(0)} %`,
      'back after ms': recovered.toFixed(0),
    },
    promises,
  }
}

function writePage(name: string, text: string): void {
  const date = new Date().toISOString().slice(0, 10)
  mkdirSync('bench/results', { recursive: true })
  const file = `bench/results/${date}-${name}.md`
  writeFileSync(
    file,
    `# ${name[0]!.toUpperCase()}${name.slice(1)}, ${date}\n\nHow it is made: bench/README.md.\n\n${text}`,
  )
  process.stderr.write(`written: ${file}\n`)
}

await main()
