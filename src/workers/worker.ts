import { type App, startApp } from '../app.ts'
import { SluiceError } from '../errors.ts'
import { createLog, standardOutput } from '../log.ts'
import { createChannel, type Port } from './channel.ts'
import { createLentStore } from './lent-store.ts'
import { unpackPolicy } from './pack-policy.ts'
import type { PrimaryAnswers, WorkerAnswers } from './questions.ts'

export type WorkerIo = {
  readonly version: string
  /** The channel to the primary. */
  readonly port: Port
  /** Calls back on errors and rejections that nobody caught; from then on they do not end the process. */
  onUncaught(listener: (cause: unknown) => void): void
  exit(code: number): never
}

/** How long the last log lines may take to be read before the process ends without them. */
const LAST_LINES_PATIENCE = 500

/**
 * One of several workers: the application, with what its primary shares among them. It ends when the primary lets go of the
 * channel, or is gone. Where it cannot listen it says so and exits with 1.
 */
export async function work(io: WorkerIo): Promise<void> {
  let started: (app: App) => void = () => {}
  const app = new Promise<App>((resolve) => {
    started = resolve
  })
  const backstage = async () => (await app).backstage
  const answers: WorkerAnswers = {
    explain: async (question) => (await backstage()).explain(question),
    refusal: async (requestId) => (await backstage()).refusal(requestId),
    refusals: async () => (await backstage()).refusals(),
    topRefused: async () => (await backstage()).topRefused(),
    keysOf: async (shown) => (await backstage()).keysOf(shown),
    keyState: async (named) => (await backstage()).keyState(named),
    reset: async (named) => (await backstage()).reset(named),
    place: async (order) => (await backstage()).place(order),
    lift: async (key) => (await backstage()).lift(key),
    metrics: async () => (await app).snapshot(),
    reload: async (policy) => (await app).reload(unpackPolicy(policy)),
    async drain() {
      await (await app).close()
      await output.end(LAST_LINES_PATIENCE)
    },
  }
  const channel = createChannel<PrimaryAnswers>(io.port, answers)
  const output = standardOutput()
  const { worker, workers, instance, orders, policy: packed } = await channel.ask('begin')
  const policy = unpackPolicy(packed)
  const log = createLog({ level: policy.log.level, destination: output, worker })
  const store = policy.store.kind === 'memory' ? createLentStore(channel) : null
  try {
    const { version } = io
    const app = await startApp(policy, {
      log,
      version,
      droppedLines: output.dropped,
      crew: { workers, instance, orders, store },
    })
    io.onUncaught((cause) => {
      app.countUncaught()
      log.fatal({ err: cause }, 'an error that nobody caught: this is a defect of Sluice, which goes on')
    })
    started(app)
    await channel.ask('listening', app.url)
  } catch (cause) {
    if (!(cause instanceof SluiceError)) throw cause
    await channel.ask('failed', cause.message).catch(() => {})
    io.exit(1)
  }
}
