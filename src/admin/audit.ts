import type { Logger } from '../log.ts'

/** Something that was done through the admin port. */
export type Deed = {
  readonly at_ms: number
  readonly action: 'ban' | 'grant' | 'lift' | 'reset'
  readonly key: string
  readonly reason: string
  /** Milliseconds since the epoch, where it ends. */
  readonly until_ms?: number
}

export type Audit = {
  note(deed: Deed): void
  /** The latest, the last first. */
  list(): readonly Deed[]
}

const MAX_DEEDS = 200

/** Keeps what was done and why: the latest here, all of it in the log. */
export function createAudit(log: Logger): Audit {
  const deeds: Deed[] = []
  return {
    note(deed) {
      deeds.unshift(deed)
      deeds.length = Math.min(deeds.length, MAX_DEEDS)
      const { at_ms: _at, until_ms: untilMs, ...told } = deed
      const until = untilMs === undefined ? {} : { until: new Date(untilMs).toISOString() }
      log.warn({ ...told, ...until }, 'done through the admin port')
    },
    list: () => deeds,
  }
}
