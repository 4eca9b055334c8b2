import { BASELINES, type Baseline, createBaseline } from './baselines.ts'
import { createHeaderSets } from './header-sets.ts'
import type { Jar } from './jar.ts'
import type { Message } from './message.ts'
import { createPopulation, OFFICE, type Population, SIZES, type Sizes } from './population.ts'
import { LIMIT, type ProxyUnderTest, startProxy, type Timed } from './proxy-under-test.ts'
import { createRandom } from './random.ts'
import {
  evenly,
  inOrder,
  pageLoads,
  type Span,
  type State,
  singleVisits,
  TIMES,
  type Times,
  type Turn,
} from './schedule.ts'
import { type Attack, STOCKPILE, type Strategy } from './strategies.ts'
import { createTally, type Tally } from './tally.ts'

export type RunOptions = {
  readonly seed: number
  /** They attack at the same time, each from where it is: who shares no network with another does not notice it. */
  readonly strategies: readonly Strategy[]
  readonly state: State
  /** Fewer devices and a shorter run, for tests. */
  readonly sizes?: Sizes
  readonly times?: Times
}

/** What came of one run. Labels: see `labelsOf`. */
export type RunResult = {
  readonly seed: number
  readonly state: State
  readonly sizes: Sizes
  readonly times: Times
  readonly tally: Tally
  /** Requests of the whole run, visits before it included, and the CPU seconds they took. */
  readonly requests: number
  readonly cpuSeconds: number
}

const MAX_BATCH = 40

/** Runs strategies in one state against the proxy and the baselines, which see the same requests at the same times. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, strategies, state, sizes = SIZES, times = TIMES } = options
  const cpu = process.cpuUsage()
  const population = createPopulation(
    createRandom(seed, 'population'),
    createHeaderSets(createRandom(seed, 'header sets')),
    sizes,
  )
  const attacks = strategies.map((strategy) => startAttack(strategy, population, seed))
  const baselines = BASELINES.map((name) => createBaseline(name, LIMIT))
  const tally = createTally()
  const proxyRandom = createRandom(seed, 'proxy')
  let requests = 0

  async function play(proxy: ProxyUnderTest, turns: readonly Turn[]): Promise<void> {
    for await (const batch of sent(proxy, turns)) {
      requests += batch.length
      for (const answered of batch) judge(answered, baselines, times, tally)
    }
  }

  const before = visitsBefore(state, population, seed)
  let proxy = await startProxy(proxyRandom)
  try {
    if (before !== null) {
      const stockpiles = attacks.flatMap((attack) => preparation(attack, before.stockpile))
      await play(proxy, inOrder([...before.turns, ...stockpiles]))
      if (state === 'restart') {
        await proxy.close()
        proxy = await startProxy(proxyRandom)
      }
    }
    const count = Math.round((times.attack.to - times.attack.from) * times.attackPerSecond)
    const stockpile = { from: times.run.from, to: times.attack.from }
    const turns = [
      ...pageLoads(population, times.run, createRandom(seed, 'pages')),
      ...attacks.flatMap(({ id, attack }) => evenly(id, count, times.attack, attack.message)),
      ...(state === 'cold' ? attacks.flatMap((attack) => preparation(attack, stockpile)) : []),
    ]
    await play(proxy, inOrder(turns))
  } finally {
    await proxy.close()
  }
  const { user, system } = process.cpuUsage(cpu)
  return { seed, state, sizes, times, tally, requests, cpuSeconds: (user + system) / 1e6 }
}

const MINUTE = 60

/** The visits that lie before second 0, and when a hoarder fetches its cookies. */
function visitsBefore(state: State, population: Population, seed: number): { turns: Turn[]; stockpile: Span } | null {
  if (state === 'cold') return null
  const random = createRandom(seed, 'pages before')
  // An office at work: its cookies are an hour old, and have behaved for that hour.
  const turns: Turn[] = []
  for (let window = -80; window <= -20; window += 10) {
    turns.push(...singleVisits(population, { from: window * MINUTE, to: (window + 10) * MINUTE }))
  }
  const hoard = { from: -80 * MINUTE, to: -70 * MINUTE }
  if (state === 'returning') turns.push(...pageLoads(population, { from: -2 * MINUTE, to: 0 }, random))
  return { turns, stockpile: hoard }
}

type StartedAttack = { readonly id: string; readonly attack: Attack }

function startAttack(strategy: Strategy, { networks }: Population, seed: number): StartedAttack {
  const { id, inside } = strategy
  const random = createRandom(seed, `attack ${id}`)
  // The first 200 addresses of the network are those of S7.
  const address = networks.find(({ name }) => name === inside)?.address ?? `192.0.2.${200 + Number(id.slice(1))}`
  return { id, attack: strategy.start({ random, sets: createHeaderSets(createRandom(seed, id)), address }) }
}

function preparation({ id, attack }: StartedAttack, span: Span): Turn[] {
  return attack.prepare === undefined ? [] : evenly(`preparing ${id}`, STOCKPILE, span, attack.prepare)
}

type Answered = {
  readonly turn: Turn
  readonly message: Message
  readonly hadCookie: boolean
  readonly passed: boolean
}

/**
 * Sends the turns in order. As many share one write as can without anybody's next request leaving before the answer to the last
 * one is in its jar: so the result is that of one request at a time.
 */
async function* sent(proxy: ProxyUnderTest, turns: readonly Turn[]): AsyncGenerator<readonly Answered[]> {
  let batch: (Timed & { readonly turn: Turn; readonly hadCookie: boolean })[] = []
  let jars = new Set<Jar>()

  async function flush(): Promise<readonly Answered[]> {
    const sending = batch
    batch = []
    jars = new Set()
    const statuses = await proxy.send(sending)
    return sending.map(({ turn, message, hadCookie }, i) => ({
      turn,
      message,
      hadCookie,
      passed: isPassed(statuses[i]!),
    }))
  }

  for (const turn of turns) {
    const message = turn.message()
    const { jar, route } = message
    const first = batch[0]?.message
    const mustWait = batch.length === MAX_BATCH || (jar !== null && jars.has(jar)) || (first && first.route !== route)
    if (mustWait) yield await flush()
    batch.push({ at: turn.at, message, turn, hadCookie: jar !== null && jar.field() !== '' })
    if (jar !== null) jars.add(jar)
  }
  if (batch.length > 0) yield await flush()
}

function isPassed(status: number): boolean {
  if (status !== 200 && status !== 429) throw new Error(`an answer of ${status}: the run proves nothing`)
  return status === 200
}

function judge(
  { turn, message, hadCookie, passed }: Answered,
  baselines: readonly Baseline[],
  times: Times,
  tally: Tally,
) {
  const all = [passed, ...baselines.map((baseline) => baseline.admits(message, turn.at * 1e6))]
  for (const label of labelsOf(turn, hadCookie, times)) tally.count(label, all)
}

/**
 * What a request counts as. `members` are requests that bore a device's cookie; `<group> members` those of the office or of
 * one carrier; `first minute: <network>`; `under attack: ...` while the attack lasts;
 * an attacker's requests as its strategy's id. Before second 0 nothing counts.
 */
function labelsOf({ at, device, sender }: Turn, hadCookie: boolean, { run, attack }: Times): string[] {
  if (at < run.from) return []
  if (device === null) return [sender]
  const { name } = device.network
  const labels = ['honest']
  const isLarge = !name.startsWith('home')
  if (device.jar === null) labels.push('cookieless')
  if (hadCookie) labels.push('members')
  if (isLarge) labels.push(name)
  if (isLarge && hadCookie) labels.push(`${name} members`)
  if (isLarge && hadCookie && at >= attack.from) labels.push(`under attack: ${name} members`)
  if (at < run.from + MINUTE) labels.push(`first minute: ${name}`)
  if (name === OFFICE && at < run.from + 2 * MINUTE) labels.push('first two minutes: office')
  return labels
}
