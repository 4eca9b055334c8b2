import cluster, { type Worker } from 'node:cluster'
import { SluiceError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { backOff } from './back-off.ts'
import { type AnswerOf, type Channel, createChannel, type Port } from './channel.ts'
import type { Beginning, PrimaryAnswers, WorkerAnswers } from './questions.ts'

/** One place in the crew, whoever holds it. */
export type Member = {
  /** From 1 on. */
  readonly number: number
  readonly channel: Channel<WorkerAnswers>
}

export type CrewOptions = {
  readonly size: number
  readonly log: Logger
  /** Takes what a worker writes to standard output, whole lines only. */
  readonly write: (lines: string) => void
  readonly begin: (number: number) => Beginning
  /** What a new worker may ask of the store; `end` is called when it has gone, and nothing more comes from it. */
  readonly serve: (member: Member) => Pick<PrimaryAnswers, 'charge' | 'members'> & { end(): void }
  /** A worker has ended unasked. */
  readonly onDeath: () => void
}

export type Crew = {
  /** Resolves with where they listen when all do. Rejects when one cannot, or dies before: then none is left. */
  open(): Promise<string>
  /** How many take requests. */
  listening(): number
  /** Asks all workers; resolves with what those say that answer within `patience` milliseconds. Never rejects. */
  askAll<Question extends keyof WorkerAnswers>(
    question: Question,
    patience: number,
    ...args: Parameters<WorkerAnswers[Question]>
  ): Promise<readonly { readonly member: Member; readonly answer: AnswerOf<WorkerAnswers, Question> }[]>
  /** Drains and ends all; whoever is still there after `patience` is killed. */
  close(patience: number): Promise<void>
}

type Place = Member & {
  readonly worker: Worker
  readonly beganMs: number
  isListening: boolean
  /** Why it cannot do its work, if it has said. */
  failure: string | null
}

/** How long (milliseconds) a worker must live for its death to be no sign that the next one dies too. */
const SOUND_LIFE = 10_000

/**
 * Starts the workers, each a process of node's cluster, and puts another in the place of one that dies: at once where it had
 * lived, else after a back-off. Workers accept for themselves, each one connection a turn, so that the busy one takes fewer. Handed
 * round by the primary they would cost it a message each, and one on its way to a worker that dies would hang for ever.
 */
export function createCrew({ size, log, write, begin, serve, onDeath }: CrewOptions): Crew {
  const places = new Map<number, Place>()
  const retries = new Set<NodeJS.Timeout>()
  let isClosing = false
  let opening: { resolve: (url: string) => void; reject: (cause: Error) => void } | null = null

  function start(number: number, deaths: number): void {
    const worker = cluster.fork()
    const answers: PrimaryAnswers = {
      begin: () => begin(number),
      listening(url) {
        place.isListening = true
        if (opening === null) return log.info({ worker: number }, 'a worker has taken the place')
        if (listening() < size) return
        opening.resolve(url)
        opening = null
      },
      failed(message) {
        place.failure = message
      },
      charge: (requests, spent) => served.charge(requests, spent),
      members: (call) => served.members(call),
    }
    const channel = createChannel<WorkerAnswers>(worker.process as Port, answers)
    const place: Place = { number, channel, worker, beganMs: performance.now(), isListening: false, failure: null }
    const served = serve(place)
    places.set(number, place)
    relay(worker, write)
    worker.on('disconnect', served.end)
    worker.on('exit', (code: number | null, signal: string | null) => {
      places.delete(number)
      if (!isClosing) ended(place, code, signal, deaths)
    })
    // Of a process that cannot be started, or told something.
    worker.on('error', (err) => log.error({ worker: number, err }, 'a worker cannot be reached'))
  }

  function ended(place: Place, code: number | null, signal: string | null, deaths: number): void {
    const { number, worker, failure, beganMs } = place
    if (opening !== null) {
      const message = failure ?? `worker ${number} ended before it listened (${signal ?? `exit code ${code}`})`
      return opening.reject(new SluiceError('listen_failed', message))
    }
    const isSound = performance.now() - beganMs >= SOUND_LIFE
    const delay = isSound ? 0 : backOff(deaths)
    onDeath()
    log.error(
      { worker: number, pid: worker.process.pid, code, signal, failure, again_in_ms: delay },
      'a worker died; another takes its place',
    )
    const retry = setTimeout(() => {
      retries.delete(retry)
      start(number, isSound ? 0 : deaths + 1)
    }, delay)
    retries.add(retry)
  }

  function listening(): number {
    let count = 0
    for (const { isListening } of places.values()) if (isListening) count++
    return count
  }

  function endAll(): void {
    isClosing = true
    for (const retry of retries) clearTimeout(retry)
    for (const { worker } of places.values()) worker.process.kill('SIGKILL')
  }

  return {
    open() {
      cluster.schedulingPolicy = cluster.SCHED_NONE
      cluster.setupPrimary({ args: ['worker'], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
      const opened = new Promise<string>((resolve, reject) => {
        opening = { resolve, reject }
      })
      for (let number = 1; number <= size; number++) start(number, 0)
      return opened.catch((cause: unknown) => {
        endAll()
        throw cause
      })
    },
    listening,
    async askAll(question, patience, ...args) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<null>((resolve) => {
        timer = setTimeout(resolve, patience, null)
      })
      const asked = [...places.values()].map((member) => {
        const told = member.channel.ask(question, ...args).then((answer) => ({ member, answer }))
        return Promise.race([told.catch(() => null), late])
      })
      const answers = await Promise.all(asked)
      clearTimeout(timer)
      return answers.filter((answer) => answer !== null)
    },
    async close(patience) {
      isClosing = true
      for (const retry of retries) clearTimeout(retry)
      const kill = setTimeout(endAll, patience)
      await Promise.all(
        [...places.values()].map(async ({ worker, channel }) => {
          const gone = new Promise((resolve) => worker.once('exit', resolve))
          await channel.ask('drain').catch(() => {})
          if (worker.process.connected) worker.process.disconnect()
          await gone
        }),
      )
      clearTimeout(kill)
    },
  }
}

/** Passes on what a worker writes, line by line: the half of a line that it dies in belongs to nobody. */
function relay({ process: { stdout } }: Worker, write: (lines: string) => void): void {
  let rest = ''
  stdout?.setEncoding('utf8').on('data', (text: string) => {
    const end = text.lastIndexOf('\n') + 1
    if (end === 0) {
      rest += text
      return
    }
    write(rest + text.slice(0, end))
    rest = text.slice(end)
  })
}
